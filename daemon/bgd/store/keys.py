"""Every path in the key tree, built and parsed in one place.

Four trees lie below the prefix, so that a change in one wakes only those who care: `apps/` (wishes),
`nodes/` (reports), `alive/` (who lives) and `history/` (what happened).
"""

import hashlib
import re
from dataclasses import dataclass

_APP = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", re.ASCII)
_NODE = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.ASCII)
_ESCAPED = re.compile(r"=([0-9A-F]{2})")
_LONGEST_APP, _LONGEST_NODE, _LONGEST_RELEASE = 40, 64, 128
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


def is_app(name: str) -> bool:
    """Whether this can be the name of an app."""
    return len(name) <= _LONGEST_APP and _APP.fullmatch(name) is not None


def is_node(name: str) -> bool:
    """Whether this can be the name of a node."""
    return len(name) <= _LONGEST_NODE and _NODE.fullmatch(name) is not None


def release_word(release: str) -> str:
    """A release as one word of a key, different for every release.

    Newer Consuls refuse `%` and `~` in keys, so bytes that could trouble are written `=HH`.
    """
    text = release.encode(errors="surrogateescape")
    word = "".join(chr(byte) if byte in _PLAIN else f"={byte:02X}" for byte in text)
    if word.startswith("."):
        word = "=2E" + word[1:]
    if len(word) > _LONGEST_RELEASE:
        return "sha256=" + hashlib.sha256(text).hexdigest()
    assert word, "a release has a name"
    return word


def release_in(word: str) -> str | None:
    """The release that a word of a key was made from; None when only its digest is there."""
    if word.startswith("sha256="):
        return None
    plain = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), word)
    return plain.encode("latin-1", "replace").decode(errors="surrogateescape")


@dataclass(frozen=True, slots=True)
class Keys:
    """The paths below one prefix."""

    prefix: str

    @property
    def apps(self) -> str:
        """The tree of all apps' wishes."""
        return f"{self.prefix}/apps/"

    @property
    def nodes(self) -> str:
        """The tree of all reports."""
        return f"{self.prefix}/nodes/"

    @property
    def living(self) -> str:
        """The tree of daemons that live."""
        return f"{self.prefix}/alive/"

    @property
    def histories(self) -> str:
        """The tree of what happened."""
        return f"{self.prefix}/history/"

    def wishes(self, app: str) -> str:
        """The tree of one app's wish."""
        assert is_app(app), app
        return f"{self.apps}{app}/"

    def live(self, app: str) -> str:
        return f"{self.wishes(app)}live"

    def order(self, app: str) -> str:
        return f"{self.wishes(app)}order"

    def prepare(self, app: str) -> str:
        return f"{self.wishes(app)}prepare"

    def pause(self, app: str) -> str:
        return f"{self.wishes(app)}pause"

    def canary(self, app: str) -> str:
        return f"{self.wishes(app)}canary"

    def goods(self, app: str) -> str:
        """The tree of what is known good of an app."""
        return f"{self.wishes(app)}good/"

    def good(self, app: str, colour: str) -> str:
        return f"{self.goods(app)}{colour}"

    def rejections(self, app: str) -> str:
        """The tree of an app's rejected releases."""
        return f"{self.wishes(app)}rejected/"

    def rejected(self, app: str, release: str) -> str:
        return f"{self.rejections(app)}{release_word(release)}"

    def members(self, app: str) -> str:
        """The tree of an app's reports."""
        assert is_app(app), app
        return f"{self.nodes}{app}/"

    def report(self, app: str, node: str) -> str:
        assert is_node(node), node
        return f"{self.members(app)}{node}"

    def alive(self, node: str) -> str:
        assert is_node(node), node
        return f"{self.living}{node}"

    def history(self, app: str) -> str:
        """The tree of an app's events."""
        assert is_app(app), app
        return f"{self.histories}{app}/"

    def event(self, app: str, generation: int) -> str:
        return f"{self.history(app)}{generation}"

    # -- parsing: None for what is not ours --------------------------------------------------------

    def app_word(self, key: str) -> tuple[str, str] | None:
        """App and word (`live`, `order`, …) of a key in the tree of wishes."""
        app, _, word = key.removeprefix(self.apps).partition("/")
        return (app, word) if key.startswith(self.apps) and is_app(app) and word else None

    def app_of(self, key: str) -> str | None:
        """The app that a key of the trees of wishes or reports is about."""
        for tree in (self.apps, self.nodes):
            if key.startswith(tree):
                app = key.removeprefix(tree).partition("/")[0]
                return app if is_app(app) else None
        return None

    def member_of(self, key: str) -> str | None:
        """The node that a report is of."""
        _, _, node = key.removeprefix(self.nodes).partition("/")
        return node if key.startswith(self.nodes) and is_node(node) else None

    def living_node(self, key: str) -> str | None:
        """The node that an `alive` key is of."""
        node = key.removeprefix(self.living)
        return node if key.startswith(self.living) and is_node(node) else None

    def generation_of(self, key: str) -> int | None:
        """The generation that an event is of."""
        word = key.rpartition("/")[2]
        return int(word) if word.isascii() and word.isdecimal() and len(word) < 20 else None
