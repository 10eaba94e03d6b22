"""What the world refuses, on its way inside this room; the room's door turns it into a value."""

from bgd.core.reasons import Because
from bgd.ports import Failed


class WorldError(Exception):
    """A step that could not be done, with the reason code that the report will show."""

    def __init__(self, because: Because, detail: str) -> None:
        super().__init__(detail)
        self.failed = Failed(because, detail)
