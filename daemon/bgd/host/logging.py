"""Where bgd's words go: standard error, JSON for programs on a pipe, readable on a terminal.

Colour is for terminals only, and never with NO_COLOR. What libraries log or warn about takes the same
way, from warnings up, so that every line on a pipe is JSON.
"""

import logging
import os
import sys
from collections.abc import Mapping
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LEVELS = ("debug", "info", "warning", "error")


def configure(
    level: str = "info", stream: TextIO | None = None, environment: Mapping[str, str] = os.environ
) -> None:
    """Send everything from `level` up to a stream; may be called again."""
    out = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.UnicodeDecoder(),
    ]
    last = _renderers(out, environment)
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(_number(level)),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,  # loggers made before the start must obey it too
    )
    _start_libraries(out, shared, last)


def _number(level: str) -> int:
    assert level in LEVELS, level
    return int(logging.getLevelNamesMapping()[level.upper()])


def _renderers(out: TextIO, environment: Mapping[str, str]) -> list[Processor]:
    if not out.isatty():
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    return [_printable, structlog.dev.ConsoleRenderer(colors=not environment.get("NO_COLOR"))]


def _printable(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    # Words from Consul are shown, but they do not command the terminal.
    return {key: _escaped(value) if isinstance(value, str) else value for key, value in event.items()}


def _escaped(value: str) -> str:
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in value)


def _start_libraries(out: TextIO, shared: list[Processor], last: list[Processor]) -> None:
    drop = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[drop, *last])
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
