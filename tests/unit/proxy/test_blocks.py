"""The last good blocks on disk."""

import json
from pathlib import Path

from bgd.config import AppSettings, FlipSettings, ProbeSettings
from bgd.core.model import Colour, MinHealthy, Server
from bgd.proxy import blocks
from bgd.proxy.blocks import NO_SERVERS, Block

SHOP = Block(
    AppSettings(
        name="shop",
        service="shop",
        lines=("http-request deny",),
        probe=ProbeSettings(expect=((200, 204), (401, 401))),
        flip=FlipSettings(min_healthy=MinHealthy(80, "percent-of-live")),
    ),
    {Colour.BLUE: frozenset({Server("10.0.0.1", 80, 7), Server("::1", 80)}), Colour.GREEN: frozenset()},
)


def test_read_as_written(tmp_path: Path) -> None:
    """A block comes back from the disk as it was."""
    blocks.save(tmp_path / "blocks.json", {"shop": SHOP})

    assert blocks.load(tmp_path / "blocks.json") == {"shop": SHOP}


def test_one_bad_block_costs_one_app(tmp_path: Path) -> None:
    """A block that cannot be read is left out; the others are not."""
    path = tmp_path / "blocks.json"
    blocks.save(path, {"shop": SHOP, "pay": Block(SHOP.settings, NO_SERVERS)})
    saved = json.loads(path.read_text())
    saved["apps"]["pay"] = {"settings": 7}
    path.write_text(json.dumps(saved))

    assert blocks.load(path) == {"shop": SHOP}


def test_a_torn_file_is_no_blocks(tmp_path: Path) -> None:
    """A file that is not there, or not whole, or something else, is as good as none."""
    path = tmp_path / "blocks.json"
    for text in ("", '{"apps": {"sh', "[]", '{"apps": 7}'):
        path.write_text(text)

        assert blocks.load(path) == {}
