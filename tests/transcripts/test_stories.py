"""Every story is told anew, and must come out as it stands: REWRITE=1 records them instead, for review."""

import os
from pathlib import Path

import pytest

from tests.transcripts.teller import Teller

STORIES = sorted(Path(__file__).parent.glob("*.txt"))


def tell(text: str) -> str:
    """The story with its answers: what stands under a command until the next one is replaced."""
    teller, lines = Teller(), []
    for line in text.splitlines():
        if line.startswith("> "):
            lines += [line, *(f"    {said}" for said in teller.answer(line[2:]))]
        elif not line.startswith("    "):
            lines.append(line)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.stem)
def test_story(story: Path) -> None:
    """The daemons answer what the story says."""
    text = story.read_text()
    told = tell(text)
    if os.environ.get("REWRITE"):
        story.write_text(told)
        return

    assert told == text
