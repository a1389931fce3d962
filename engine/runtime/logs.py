"""Logs: one line an event, to standard error. No telephone number ever goes into one: call ids and record ids do.

Nothing logs a number on purpose. Beneath that lies a net: in whatever reaches standard error, also from other
libraries and in tracebacks, numbers are masked, at every level, and no setting turns that off.
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

# Deeper ones are shown as text.
MAX_DEPTH = 6


class _Unfailing(io.TextIOBase):
    """A log on a full disk loses lines; it must not make anything else fail."""

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
    """For the standard library's loggers: message, traceback and stack."""

    def format(self, record: logging.LogRecord) -> str:
        return masked_text(super().format(record))


def mask_numbers(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict | Mapping[str, object]:
    """Processor, to stand after whatever turns exceptions into text."""
    return {masked_text(key): _masked_value(value) for key, value in event.items()}


def _masked_value(value: object, depth: int = 0) -> object:
    """Of the same shape. What is no plain value is shown as its text, as the renderer would do."""
    if value is None or isinstance(value, bool | int | float):
        return value  # a measure: a number that can be dialled is a string everywhere
    if depth < MAX_DEPTH:
        if isinstance(value, Mapping):
            return {masked_text(str(key)): _masked_value(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [_masked_value(inner, depth + 1) for inner in value]
    return masked_text(value if isinstance(value, str) else repr(value))


def configure(level: str) -> None:
    """`level`: debug, info, warning or error. Human-readable on a terminal, JSON elsewhere."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    # aiohttp, panoramisk and asyncio log through the standard library: their warnings are wanted, their chatter not
    # (panoramisk prints whole messages at debug, numbers included).
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_MaskedFormatter("%(name)s: %(message)s"))
    logging.basicConfig(level=max(threshold, logging.WARNING), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    _mask_last_words()
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


def _mask_last_words() -> None:
    """What ends the process, or a thread of it, is printed by Python itself, with the exception's text."""
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
