"""How the log reads on a pipe and on a terminal."""

import io
import json
import logging
import warnings
from collections.abc import Iterator

import pytest
import structlog

from bgd.host.logging import configure


class Terminal(io.StringIO):
    """Says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_json_on_a_pipe() -> None:
    """On a pipe each event is one line of JSON, with its time in UTC and its level."""
    out = io.StringIO()
    log = structlog.get_logger()
    configure("info", out, {})
    log.info("flip proved", app="shop\n", generation=412, colour={"green"})
    (line,) = out.getvalue().splitlines()
    event = json.loads(line)

    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "flip proved",
        "level": "info",
        "app": "shop\n",
        "generation": 412,
        "colour": "{'green'}",
    }


def test_levels() -> None:
    """What is below the level is not written."""
    out = io.StringIO()
    configure("warning", out, {})
    structlog.get_logger().info("quiet")
    structlog.get_logger().error("loud")

    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["loud"]


def test_an_exception_is_one_line_on_a_pipe() -> None:
    """A traceback on a pipe stays within its event."""
    out = io.StringIO()
    configure("info", out, {})
    try:
        raise ValueError("no colour")
    except ValueError:
        structlog.get_logger().exception("crashed")
    (line,) = out.getvalue().splitlines()

    assert "ValueError: no colour" in json.loads(line)["exception"]


def test_libraries_take_the_same_way() -> None:
    """What a library logs or warns about is JSON on a pipe too, from warnings up."""
    out = io.StringIO()
    configure("info", out, {})
    logging.getLogger("urllib3").info("quiet")
    logging.getLogger("urllib3").warning("retrying %s", "once")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    events = [json.loads(line) for line in out.getvalue().splitlines()]

    assert [event["level"] for event in events] == ["warning", "warning"]
    assert events[0]["event"] == "retrying once"


@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_readable_on_a_terminal(environment: dict[str, str], coloured: bool) -> None:
    """On a terminal it is prose, coloured unless NO_COLOR is set."""
    out = Terminal()
    configure("info", out, environment)
    structlog.get_logger().info("flip proved", app="shop")

    assert "flip proved" in out.getvalue()
    assert ("\x1b[" in out.getvalue()) == coloured


def test_words_do_not_command_the_terminal() -> None:
    """What comes from elsewhere cannot clear or colour the terminal."""
    out = Terminal()
    configure("info", out, {"NO_COLOR": "1"})
    structlog.get_logger().info("bad\x1b[2J", value="x\x1b[31m\ny")

    assert "\x1b" not in out.getvalue()
    assert out.getvalue().count("\n") == 1


def test_starting_twice_writes_once() -> None:
    """Logging that is started again writes to the newest place only."""
    first, second = io.StringIO(), io.StringIO()
    configure("info", first, {})
    configure("info", second, {})
    structlog.get_logger().info("here")
    logging.getLogger("urllib3").error("there")

    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 2
