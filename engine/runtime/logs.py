"""Sets up logging: one line for each event, to standard error, without telephone numbers.

The engine logs ids of calls and records instead of numbers. As a second line of defence, every text that reaches
standard error has its numbers masked: at every log level, from other libraries too, and in tracebacks. No setting turns
that off.
"""

import io
import logging
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import TextIO, cast

import structlog

from engine.domain.masking import masked_text

# Values nested deeper than this are logged as text.
MAX_DEPTH = 6


class _Unfailing(io.TextIOBase):
    """A stream that drops lines if the disk is full, so that logging never makes anything else fail."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


class _MaskedFormatter(logging.Formatter):
    """Masks message, traceback and stack of the standard library's loggers."""

    def format(self, record: logging.LogRecord) -> str:
        return masked_text(super().format(record))


def mask_numbers(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict | Mapping[str, object]:
    """Masks numbers in an event. A structlog processor, to run after the one that turns exceptions into text."""
    return {masked_text(key): _masked_value(value) for key, value in event.items()}


def _masked_value(value: object, depth: int = 0) -> object:
    """Returns a value of the same shape. Other objects become text, as the renderer would do."""
    if value is None or isinstance(value, bool | int | float):
        return value  # an amount; telephone numbers are strings everywhere
    if depth < MAX_DEPTH:
        if isinstance(value, Mapping):
            return {masked_text(str(key)): _masked_value(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [_masked_value(inner, depth + 1) for inner in value]
    return masked_text(value if isinstance(value, str) else repr(value))


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
    # Plain tracebacks: rich ones print local variables, and those hold hidden numbers.
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            mask_numbers,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Unfailing(sys.stderr))),
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
