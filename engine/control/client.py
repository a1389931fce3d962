"""Sends the command line's requests to a running engine, over its control socket."""

import json
import socket
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.bookings.adjustments import Adjustment
from engine.control.protocol import ANSWER_SECONDS, MAX_LINE, EngineRefused, EngineSilent, socket_path
from engine.control.requests import NAMES, Done, EndCalls, HangUp, ShareSeconds, ShownTrunk, ShowTrunks
from engine.storage.bookings import Grant, grant_from_row


def ask_to_adjust(data_dir: Path, adjustment: Adjustment) -> Grant | None:
    """Lets the running engine adjust a booking. Returns None when no engine is running.

    Raises:
        EngineRefused: With the engine's reason.
        EngineSilent: The engine did not answer.
    """
    done = ask(data_dir, NAMES[Adjustment], adjustment)
    return None if done is None else grant_from_row(done)


def ask_engine(data_dir: Path, request: HangUp | EndCalls | ShareSeconds) -> Done | None:
    """Lets the running engine carry out a request. Returns None when no engine is running.

    Raises:
        EngineRefused: With the engine's reason.
        EngineSilent: The engine did not answer.
    """
    done = ask(data_dir, NAMES[type(request)], request)
    return None if done is None else Done(**done)


def ask_trunks(data_dir: Path) -> list[ShownTrunk] | None:
    """Returns the trunks as the running engine knows them; None when no engine is running.

    Raises:
        EngineRefused: With the engine's reason.
        EngineSilent: The engine did not answer.
    """
    done = ask(data_dir, NAMES[ShowTrunks], ShowTrunks())
    return None if done is None else [ShownTrunk(**trunk) for trunk in done["trunks"]]


def ask(data_dir: Path, operation: str, request: Any) -> dict[str, Any] | None:  # noqa: ANN401  any dataclass
    """Sends one request.

    Args:
        data_dir: The engine's data directory.
        operation: The operation's name.
        request: A dataclass with the operation's fields.

    Returns:
        The fields of the answer; None when no engine is running.

    Raises:
        EngineRefused: With the engine's reason.
        EngineSilent: The engine did not answer.
    """
    with socket_path(data_dir) as path, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        try:
            connection.sendall(json.dumps({"op": operation} | asdict(request)).encode() + b"\n")
            with connection.makefile("rb") as lines:
                answer = json.loads(lines.readline(MAX_LINE))
        except (OSError, ValueError):
            raise EngineSilent from None
    if "refused" in answer:
        raise EngineRefused(answer["refused"])
    done: dict[str, Any] = answer["done"]
    return done
