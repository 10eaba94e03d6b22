"""The nearest known word to one that is not known."""

from collections.abc import Sequence


def nearest(word: str, known: Sequence[str]) -> str:
    """What to add to "… is unknown": the nearest known word, else all of them."""
    import difflib  # only who mistypes pays for it

    close = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known: {', '.join(sorted(known))}" if known else ""
