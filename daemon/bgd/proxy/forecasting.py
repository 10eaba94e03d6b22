"""What a flip would do, were it made now: checked by the proxy as the flip would be, and nothing changes.

Rules that live here: what is tried leaves no trace, neither on disk nor in memory, and holds up nobody; what
a flip would be refused for is refused here, with the same words. A flip at runtime writes no text, but the
servers that it brings in must have one afterwards: so that is checked too.
"""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import chain
from typing import Literal

from bgd.core.model import Colour
from bgd.core.reasons import Because
from bgd.proxy.adapter import Adapter, Texts
from bgd.proxy.blocks import Block
from bgd.proxy.errors import WorldError
from bgd.proxy.structure import Structure

MOST_BYTES = 16 * 1024
"""Of a difference, as UTF-8."""
AROUND = 3
"""So many lines stand around each difference."""

Step = tuple[Literal["replace", "delete", "insert", "equal"], int, int, int, int]


def texts(
    structure: Structure, adapter: Adapter, block: Block, colour: Colour, *, reloads: bool
) -> tuple[Texts, Texts]:
    """What stands, and what would stand after the flip. Raises WorldError where the flip would be refused."""
    app, vetting = block.settings.name, structure.vetting.aside()
    standing, good = structure.standing()
    targets = structure.with_live({**good, app: block}, {app: colour}, vetting)
    ill = adapter.faults(targets).get(app)
    if ill is not None:
        raise WorldError(ill.because, ill.detail)
    vetted = vetting.vet(targets, good, standing)
    refused = vetted.failed.get(app)
    if refused is not None:
        raise WorldError(refused.because, refused.detail)
    after = vetted.page.texts
    if reloads and (cannot := adapter.cannot(after, standing)):
        raise WorldError(Because.RELOAD_FAILED, cannot)
    return standing, after


def difference(before: Texts, after: Texts) -> str:
    """A unified diff of bgd's part, file by file; of one that is too long the last line says so."""
    names = [*after, *(name for name in before if name not in after)]
    lines = [line for name in names for line in _file(name, before.get(name, ""), after.get(name, ""))]
    whole = "".join(lines)
    return whole if len(whole.encode()) <= MOST_BYTES else _cut(lines)


def _cut(lines: list[str]) -> str:
    left = MOST_BYTES - len(_missing(len(lines)))
    for number, line in enumerate(lines):
        left -= len(line.encode())
        if left < 0:
            return "".join(lines[:number]) + _missing(len(lines) - number)
    raise AssertionError("only what is too long is cut")


def _missing(count: int) -> str:
    return f"... cut: {count} more lines\n"


def _file(name: str, before: str, after: str) -> Iterator[str]:
    if before == after:
        return
    old, new = before.splitlines(), after.splitlines()
    yield f"--- {name}\n+++ {name}\n"
    for steps in _ByParagraph(old, new).get_grouped_opcodes(AROUND):
        (_, i1, _, j1, _), (_, _, i2, _, j2) = steps[0], steps[-1]
        yield f"@@ -{_range(i1, i2)} +{_range(j1, j2)} @@\n"
        for tag, i1, i2, j1, j2 in steps:
            if tag == "equal":
                yield from (f" {line}\n" for line in old[i1:i2])
            else:
                yield from (f"-{line}\n" for line in old[i1:i2])
                yield from (f"+{line}\n" for line in new[j1:j2])


def _range(start: int, end: int) -> str:
    return f"{start + 1 if end > start else start},{end - start}"


class _ByParagraph(SequenceMatcher[str]):
    """Compares paragraph by paragraph, and lines only within those that differ.

    The blocks of apps are much alike: line by line, one app's would be shown as made from another's.
    """

    def __init__(self, old: Sequence[str], new: Sequence[str]) -> None:
        super().__init__(None, old, new)
        self._old, self._new = _paragraphs(old), _paragraphs(new)

    def get_opcodes(self) -> list[Step]:
        old, new = self._old, self._new
        found: list[Step] = []
        i = j = 0
        for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            left, came = [*chain(*old[i1:i2])], [*chain(*new[j1:j2])]
            whole: list[Step] = [("equal", 0, len(left), 0, len(came))]
            steps = whole if tag == "equal" else SequenceMatcher(None, left, came).get_opcodes()
            for what, a, b, c, d in steps:
                step = what, i + a, i + b, j + c, j + d
                if found and what == found[-1][0] == "equal":
                    _, old_start, _, new_start, _ = found.pop()  # else each would get lines around it
                    step = what, old_start, step[2], new_start, step[4]
                found.append(step)
            i, j = i + len(left), j + len(came)
        return found


def _paragraphs(lines: Sequence[str]) -> list[tuple[str, ...]]:
    """The lines, parted after each that is empty."""
    found: list[tuple[str, ...]] = []
    begun: list[str] = []
    for line in lines:
        begun.append(line)
        if not line:
            found.append(tuple(begun))
            begun = []
    return [*found, tuple(begun)] if begun else found
