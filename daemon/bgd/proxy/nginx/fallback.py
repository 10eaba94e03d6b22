"""Groups in which the other colour's servers stand behind a colour's own, as `backup`.

nginx asks a backup only while all of the others refuse or have just failed. Rule that lives here: where a
group chooses its servers in a way that knows no backup, there is no such group.
"""

from bgd.config.directives import directives

SUFFIX = "_or_other"
_WITHOUT_BACKUP = frozenset({"hash", "ip_hash", "random"})


def is_fallback(group: str) -> bool:
    """Whether a group of this name holds both colours."""
    return group.removesuffix("_grpc").endswith(SUFFIX)


def has_backups(group: str) -> bool:
    """Whether nginx takes backups in the text of this group."""
    return not any(each.name in _WITHOUT_BACKUP for each in directives(group))
