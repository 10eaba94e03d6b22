"""Words from outside, made safe for HAProxy's configuration: one word stays one word."""


def quote(word: str) -> str:
    """One word, whatever is in it."""
    assert "\n" not in word, "the configuration lets no line break through"
    return "'" + word.replace("'", "'\\''") + "'"


def quote_format(word: str) -> str:
    """One word where HAProxy would take % as the beginning of a variable."""
    return quote(word.replace("%", "%%"))
