"""What the fleet has written down, as it is read."""

import base64

from bgd.core.model import Colour, Good, Ledger
from bgd.store import ledgers, records
from bgd.store.entry import Entry
from bgd.store.keys import Keys

KEYS = Keys("bluegreen")


def entry(key: str, value: bytes) -> Entry:
    return Entry({"Key": key, "Value": base64.b64encode(value).decode()})


def test_a_ledger_is_read_from_its_tree() -> None:
    """Good by its record, rejected by its key, pause as text; all else is ignored."""
    good, long = Good("2.4.0", 400, "t"), "x" * 200
    told = ledgers.ledger(
        KEYS,
        "shop",
        [
            entry(KEYS.good("shop", Colour.BLUE), records.good_out(good)),
            entry(KEYS.good("shop", Colour.GREEN), b"no json"),
            entry(KEYS.rejected("shop", "2.5 beta"), b""),
            entry(KEYS.rejected("shop", long), records.encode({"release": long})),
            entry(KEYS.pause("shop"), b"deploy\n\x1b[2J"),
            entry(KEYS.live("shop"), b"blue"),
        ],
    )

    assert told == Ledger({Colour.BLUE: good}, frozenset(("2.5 beta", long)), r"deploy\n\x1b[2J")


def test_a_rejection_names_no_other_release_than_its_key() -> None:
    """A record under a wrong key is not believed; its key is."""
    told = ledgers.ledger(
        KEYS, "shop", [entry(KEYS.rejected("shop", "1.0"), records.encode({"release": "2.0"}))]
    )

    assert told.rejected == {"1.0"}
