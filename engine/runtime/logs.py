"""Sets up logging: one line for each event, to standard error, without telephone numbers.

The engine logs ids of calls and records instead of numbers, and rented numbers masked. As a second line of defence,
every text that reaches standard error has its numbers masked: at every log level, from other libraries too, and in
tracebacks. No setting turns that off.
"""

import json
import logging
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TextIO

import structlog

from engine.domain.masking import masked_text

# Values nested deeper than this are logged as text.
MAX_DEPTH = 6
# Of the place of an error.
MAX_FRAMES = 8


# Amounts are not masked: telephone numbers are strings everywhere.
_AMOUNTS = frozenset({type(None), bool, int, float})
_encoded = json.JSONEncoder().encode


class _Lines:
    """A structlog logger that writes lines. It drops them if the disk is full, so that logging makes nothing fail."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # Standard error writes a line when it ends; to flush it once more would take as long as to write it.
        self._flushes = not getattr(stream, "line_buffering", False)

    def msg(self, line: str) -> None:
        """Writes a line in one piece, so that those of several threads do not mix."""
        try:
            self._stream.write(line + "\n")
            if self._flushes:
                self._stream.flush()
        except OSError:
            pass

    debug = info = warning = error = critical = exception = msg


class _MaskedFormatter(logging.Formatter):
    """Masks message, traceback and stack of the standard library's loggers."""

    def format(self, record: logging.LogRecord) -> str:
        return masked_text(super().format(record))


def mask_numbers(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict | Mapping[str, object]:
    """Masks numbers in an event. A structlog processor, to run after the one that turns exceptions into text."""
    return {
        masked_text(key): value
        if (kind := type(value)) in _AMOUNTS
        else masked_text(value)
        if kind is str
        else _masked_value(value)
        for key, value in event.items()
    }


def places_of(error: BaseException) -> list[str]:
    """Returns where an error happened, for a log without its message, which may repeat a telephone number."""
    frames = traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:]
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]


def _masked_value(value: object, depth: int = 0) -> object:
    """Returns a value of the same shape. Other objects become text, as the renderer would do."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth < MAX_DEPTH:
        if isinstance(value, Mapping):
            return {masked_text(str(key)): _masked_value(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [_masked_value(inner, depth + 1) for inner in value]
    return masked_text(value if isinstance(value, str) else repr(value))


def _stamp(_logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Adds level and time. A structlog processor, to run after `mask_numbers`: it adds no text of others."""
    event["level"] = method
    event["timestamp"] = f"{datetime.now(UTC).isoformat(timespec='microseconds')[:-6]}Z"
    return event


def _render(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
    """Writes an event as JSON. A structlog processor, the last one: all values are plain since `mask_numbers`."""
    return _encoded(event)


PROCESSORS: tuple[structlog.typing.Processor, ...] = (
    structlog.processors.format_exc_info,
    mask_numbers,
    _stamp,
    _render,
)


def configure(level: str) -> None:
    """Sets up logging for the process: human-readable on a terminal, JSON elsewhere.

    Args:
        level: debug, info, warning or error.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    # aiohttp, panoramisk and asyncio use the standard library's loggers. Only their warnings are kept: panoramisk logs
    # whole messages at debug level, numbers included.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_MaskedFormatter("%(name)s: %(message)s"))
    logging.basicConfig(level=max(threshold, logging.WARNING), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    _mask_uncaught_exceptions()
    processors = PROCESSORS
    if sys.stderr.isatty():
        # Plain tracebacks: rich ones print local variables, and those hold hidden numbers.
        console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        processors = (*PROCESSORS[:-1], console)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: _Lines(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _mask_uncaught_exceptions() -> None:
    # Python itself prints an exception that ends the process or a thread, with its text.
    sys.excepthook = _show
    threading.excepthook = _show_end_of_thread
    sys.unraisablehook = lambda lost: _show(lost.exc_type, lost.exc_value, lost.exc_traceback)


def _show_end_of_thread(end: threading.ExceptHookArgs) -> None:
    if not issubclass(end.exc_type, SystemExit):
        _show(end.exc_type, end.exc_value, end.exc_traceback)


def _show(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    lines = traceback.format_exception(kind, error, trace)
    with suppress(OSError):
        sys.stderr.write(masked_text("".join(lines)))
