"""What can go wrong with Consul, by whose fault it is.

The world's faults are a `StoreFault` of one kind, saying what was tried on what. An operator's are a
`BadSetting`, naming the setting and the cure.
"""

from enum import StrEnum


class Fault(StrEnum):
    """How a call failed; what to do next depends on this alone."""

    LOST = "lost"
    """No answer, or an error; a write has not been carried out."""
    DENIED = "denied"
    """Consul knows us, or does not, and refuses."""
    CONFLICT = "conflict"
    """Somebody else wrote first."""
    UNKNOWN = "unknown"
    """A write of which nobody knows whether it has been carried out."""
    REFUSED = "refused"
    """We asked for nonsense: a key that Consul would take for another one."""


class StoreFault(Exception):
    """A call that failed. `detail` says what was tried on what, and how it failed."""

    def __init__(self, kind: Fault, detail: str) -> None:
        super().__init__(detail)
        self.kind, self.detail = kind, detail


class BadSetting(Exception):
    """A setting or a variable that means nothing: where it stands, what is wrong, and the cure."""

    def __init__(self, place: str, what: str, cure: str) -> None:
        super().__init__(f"{place}: {what}; {cure}")
        self.place, self.what, self.cure = place, what, cure
