"""What one transaction can do to a key. All operations of a transaction happen, or none."""

import base64
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Set:
    """Write a key, whatever it holds."""

    key: str
    value: bytes
    flags: int = 0

    def told(self) -> dict[str, Any]:
        return _kv("set", self.key, Value=_text(self.value), Flags=self.flags)


@dataclass(frozen=True, slots=True)
class Cas:
    """Write a key that has not been written since `index`; 0: that does not exist."""

    key: str
    value: bytes
    index: int
    flags: int = 0

    def told(self) -> dict[str, Any]:
        return _kv("cas", self.key, Value=_text(self.value), Index=self.index, Flags=self.flags)


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a key; one that is missing already is fine."""

    key: str

    def told(self) -> dict[str, Any]:
        return _kv("delete", self.key)


@dataclass(frozen=True, slots=True)
class CheckIndex:
    """Only if a key has not been written since `index`."""

    key: str
    index: int

    def told(self) -> dict[str, Any]:
        return _kv("check-index", self.key, Index=self.index)


@dataclass(frozen=True, slots=True)
class CheckMissing:
    """Only if a key does not exist."""

    key: str

    def told(self) -> dict[str, Any]:
        return _kv("check-not-exists", self.key)


@dataclass(frozen=True, slots=True)
class Lock:
    """Write a key and hold it by a session; it is a conflict when another session holds it."""

    key: str
    value: bytes
    session: str

    def told(self) -> dict[str, Any]:
        return _kv("lock", self.key, Value=_text(self.value), Session=self.session)


@dataclass(frozen=True, slots=True)
class CheckSession:
    """Only if a key is held by this very session."""

    key: str
    session: str

    def told(self) -> dict[str, Any]:
        return _kv("check-session", self.key, Session=self.session)


Op = Set | Cas | Delete | CheckIndex | CheckMissing | CheckSession | Lock


def _kv(verb: str, key: str, **fields: Any) -> dict[str, Any]:
    return {"KV": {"Verb": verb, "Key": key, **fields}}


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
