"""What reaches the terminal, and how tables look in a pipe."""

import json

from bgctl import output


def test_control_characters_are_written_out():
    """No control character that stands in Consul reaches the terminal."""
    assert output.clean("\x1b[31mred\x07") == "\\x1b[31mred\\x07"
    assert output.clean("a\nb\x9b") == "a\\x0ab\\x9b"
    assert output.clean("\u202eevil") == "\\u202eevil"


def test_ordinary_text_is_left_alone():
    """Letters of any language stay as they are."""
    assert output.clean("Grün – 緑 ●") == "Grün – 緑 ●"


def test_a_pipe_gets_plain_aligned_text(capsys):
    """In a pipe a table is aligned, nothing is cut, and absent values are dashes."""
    output.put_table(("node", "serves", ""), [("lb-1", "green", ""), ("lb-22", None, "x" * 300)])

    assert capsys.readouterr().out.splitlines() == [
        "node   serves",
        "lb-1   green",
        "lb-22  –       " + "x" * 300,
    ]


def test_json_cannot_steer_a_terminal(capsys):
    """JSON is plain ASCII whatever stands in it, and says the same."""
    output.put_json({"by": "\x1b\x7f\x9b\u202eä"})

    said = capsys.readouterr().out
    assert said.isascii()
    assert "\x7f" not in said
    assert json.loads(said) == {"by": "\x1b\x7f\x9b\u202eä"}


def test_a_narrow_terminal_breaks_no_word(capsys, monkeypatch):
    """Where a table does not fit, the terminal breaks the lines: a letter a line is not to be read."""
    monkeypatch.setattr(output, "_colourful", lambda _: True)
    monkeypatch.setenv("COLUMNS", "20")
    output.put_table(("node", "because", ""), [("lb-1", "target-not-ready", "word " * 20)])

    assert "lb-1  target-not-ready  word word" in capsys.readouterr().out
