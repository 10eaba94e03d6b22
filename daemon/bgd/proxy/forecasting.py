"""What a flip would do, were it made now: checked by the proxy as the flip would be, and nothing changes."""

import difflib
from itertools import chain

from bgd.core.model import Colour
from bgd.proxy.adapter import Adapter, Texts
from bgd.proxy.blocks import Block
from bgd.proxy.errors import WorldError
from bgd.proxy.structure import Structure
from bgd.proxy.vet import vet


def texts(structure: Structure, adapter: Adapter, block: Block, colour: Colour) -> tuple[Texts, Texts]:
    """What stands, and what would stand after the flip. Raises WorldError when the proxy refuses it."""
    app = block.settings.name
    good = dict(structure.good)
    targets = structure.with_live({**good, app: block}, {app: colour})
    ill = adapter.faults(targets).get(app)
    if ill is not None:
        raise WorldError(ill.because, ill.detail)
    standing = structure.standing()
    vetted = vet(targets, good, render=structure.vetting.newest.page, check=adapter.check, standing=standing)
    refused = vetted.failed.get(app)
    if refused is not None:
        raise WorldError(refused.because, refused.detail)
    return standing, vetted.page.texts


def difference(before: Texts, after: Texts) -> str:
    """A unified diff of bgd's part, file by file."""
    names = [*after, *(name for name in before if name not in after)]
    lines = (
        difflib.unified_diff(
            before.get(name, "").splitlines(keepends=True),
            after.get(name, "").splitlines(keepends=True),
            name,
            name,
        )
        for name in names
    )
    return "".join(chain.from_iterable(lines))
