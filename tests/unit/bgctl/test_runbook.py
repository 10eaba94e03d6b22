"""The runbook and the reason codes are one list."""

import re
from pathlib import Path

from bgd.core.reasons import Because

RUNBOOK = Path(__file__).parents[3] / "docs" / "runbook.md"


def test_every_reason_is_a_heading():
    """Every reason code is a heading in the runbook, and no other heading is."""
    headings = re.findall(r"^## (\S+)$", RUNBOOK.read_text(), re.MULTILINE)

    assert sorted(Because) == sorted(headings)


def test_every_heading_has_its_three_answers():
    """Every heading says what it means, what happens meanwhile and what to do."""
    sections = re.split(r"^## ", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]

    for section in sections:
        for answer in ("**Means.**", "**Meanwhile.**", "**Do.**"):
            assert answer in section, section.splitlines()[0]


def test_every_link_has_its_heading():
    """Every link inside the runbook leads to one of its headings."""
    links = re.findall(r"\]\(#([^)]+)\)", RUNBOOK.read_text())

    assert set(Because) == set(links)
