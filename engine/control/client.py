"""How the command line asks a running engine, over its control socket."""

import json
import socket
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.bookings.adjustments import Adjustment
from engine.control.requests import DiagnosticsRequest, Done, EndCalls, HangUp, ShareSeconds
from engine.control.server import ANSWER_SECONDS, MAX_LINE, NAMES, EngineRefused, EngineSilent, Request, _reachable
from engine.runtime.diagnostics import Diagnostics, Lateness, LatenessRequest
from engine.storage.bookings import Grant, grant_from_row


def ask_to_adjust(data_dir: Path, adjustment: Adjustment) -> Grant | None:
    """Have the running engine adjust. None: no engine is running. Raises EngineRefused, EngineSilent."""
    done = _ask(data_dir, adjustment)
    return None if done is None else grant_from_row(done)


def ask_engine(data_dir: Path, request: HangUp | EndCalls | ShareSeconds) -> Done | None:
    """None: no engine is running. Raises EngineRefused, EngineSilent."""
    done = _ask(data_dir, request)
    return None if done is None else Done(**done)


def ask_lateness(data_dir: Path, wanted: LatenessRequest) -> Lateness | None:
    """None: no engine is running. Raises EngineRefused, EngineSilent."""
    done = _ask(data_dir, wanted)
    return None if done is None else Lateness(**done)


def ask_diagnostics(data_dir: Path, *, collected: bool = False) -> Diagnostics | None:
    """None: no engine is running. Raises EngineRefused, EngineSilent."""
    done = _ask(data_dir, DiagnosticsRequest(collected))
    return None if done is None else Diagnostics(**done)


def _ask(data_dir: Path, request: Request) -> dict[str, Any] | None:
    with _reachable(data_dir) as path, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        try:
            line = {"op": NAMES[type(request)]} | asdict(request)
            connection.sendall(json.dumps(line).encode() + b"\n")
            with connection.makefile("rb") as lines:
                answer = json.loads(lines.readline(MAX_LINE))
        except (OSError, ValueError):
            raise EngineSilent from None
    if "refused" in answer:
        raise EngineRefused(answer["refused"])
    done: dict[str, Any] = answer["done"]
    return done
