"""The headers by which bgd asks through HAProxy's own fronts: what is decided, and who answers.

Each frontend has a listener of bgd's own. A request there that carries `bgd-proof` is answered by
the very backend that the map sends it to; one that does not goes on to a server, and the answer
names it. One that carries `bgd-rehearse` goes to the backend it names, whatever the map says. So
neither TLS, nor addresses, nor the rules among an app's lines make a difference.
"""

DECISION = "bgd-proof: 1\r\n"
"""The header of a request that asks for the decision only."""


def rehearsal(name: str) -> str:
    """The header of a request that goes to this backend."""
    return f"bgd-rehearse: {name}\r\n"
