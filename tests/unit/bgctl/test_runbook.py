"""The runbook and the reason codes are one list."""

import re
from pathlib import Path

import click

from bgctl.commands import bgctl
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


def test_every_command_is_there():
    """Every bgctl command that the runbook names exists, and takes the options that stand with it."""
    lines = re.findall(r"(?:`|^)(bgctl [^`#\n]+)", RUNBOOK.read_text(), re.MULTILINE)
    context = click.Context(bgctl)

    assert len(lines) > 50
    for line in lines:
        command = bgctl.get_command(context, line.split()[1])
        assert command, line
        known = {option for each in command.get_params(context) for option in each.opts}
        assert set(re.findall(r"--[a-z-]+", line)) <= known, line
