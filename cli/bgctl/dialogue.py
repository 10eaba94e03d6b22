"""What is asked at the bottom of the live screen, key by key. Pure: what to do comes out as a wish.

Rules that live here: a revert is asked about first, and only `y` means yes; a pause has a reason, and one
stands ready; what is asked about one app is done to that app, whichever is chosen meanwhile.
"""

from dataclasses import dataclass, replace

from bgctl.standing import App
from bgctl.terminal import BACKSPACE, ENTER, ESCAPE

REASON = "paused from bgctl watch"
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Pause:
    """Stop what is automatic of an app."""

    app: str
    reason: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Let it go on."""

    app: str


@dataclass(frozen=True, slots=True)
class GoBack:
    """Revert an app, if it still stands as it was when that was asked."""

    app: App


Wish = Pause | Resume | GoBack


@dataclass(frozen=True, slots=True)
class WhyPause:
    """Asks for the reason of a pause."""

    app: str
    text: str = ""

    @property
    def prompt(self) -> str:
        return f"why pause {self.app}? (Enter: {REASON} · Esc: leave it) {self.text}"

    def press(self, key: str) -> "tuple[Question | None, Wish | None]":
        if key == ESCAPE:
            return None, None
        if key == ENTER:
            return None, Pause(self.app, self.text.strip() or REASON)
        if key == BACKSPACE:
            return replace(self, text=self.text[:-1]), None
        typed = key if len(key) == 1 else ""
        return replace(self, text=(self.text + typed)[:_LONGEST]), None


@dataclass(frozen=True, slots=True)
class SureToGoBack:
    """Asks whether a revert is meant."""

    app: App
    target: str
    """Where it would lead: `blue 2.4.0`."""

    @property
    def prompt(self) -> str:
        return f"revert {self.app.name} to {self.target}? y/N"

    def press(self, key: str) -> "tuple[Question | None, Wish | None]":
        return None, GoBack(self.app) if key in ("y", "Y") else None


Question = WhyPause | SureToGoBack
