"""Server names that nginx would ignore, where bgd's part is concerned.

Two servers with one name on one address pass nginx's own check with a warning, and the first one gets all
requests. Rule that lives here: a quarrel among the host's own servers is the host's.
"""

import re
from collections.abc import Iterator

from bgd.config.listens import claimed
from bgd.config.values import Bad
from bgd.proxy.nginx.host import Source

_SAID = re.compile(r'conflicting server name "(.*)" on (\S+), ignored')


def conflicts(said: str, main: Source) -> Iterator[str]:
    """What nginx warned of, if a server of bgd's part has this name on this address, and who else."""
    for name, address in dict.fromkeys(_SAID.findall(said)):
        owners = [*_claims(main, name, address)]
        if any(part for _, part in owners):
            places = ", ".join(dict.fromkeys(place for place, _ in owners))
            yield f'conflicting server name "{name}" on {address}: claimed by {places}'


def _claims(main: Source, name: str, address: str) -> Iterator[tuple[str, bool]]:
    """The lines that claim it, and whether they are bgd's."""
    for source in main.all():
        for server in source.says:
            if server.name == "server" and server.opens:
                inside = [each for each in source.says if each.block == server.end]
                listens = [each.values[0] for each in inside if each.name == "listen" and each.values]
                if any(_is(listen, address) for listen in listens or ["80"]):
                    names = [each for each in inside if each.name == "server_name"]
                    for each in names or [server]:
                        if name in [value.lower() for value in each.values] or not (names or name):
                            yield f"{source.path}:{each.line}", source.part


def _is(listen: str, address: str) -> bool:
    """Whether nginx writes this `listen` so. A host name may be any address."""
    try:
        claims, meant = claimed([listen], listen).claims, claimed([address], address).claims
    except Bad:  # such as a socket, which no server of bgd's part has
        return False
    port = address.rpartition(":")[2]
    return bool(claims & meant) or any(re.fullmatch(rf"[^\[]*[a-z][^\[]*:{port}", each) for each in claims)
