"""Operations for tests and measurements: how late the event loop is, and what the process holds in memory.

Production does not have them. An engine that was started with `RENTED_NUMBERS_TEST_DIAGNOSTICS=1` has.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from engine.control.client import ask
from engine.control.server import Operation
from engine.runtime.diagnostics import Diagnostics, Lateness, LatenessRequest, LoopWatch, diagnose

DIAGNOSTICS_VARIABLE = "RENTED_NUMBERS_TEST_DIAGNOSTICS"
LATENESS = "lateness"
DIAGNOSTICS = "diagnostics"


@dataclass(frozen=True, slots=True)
class DiagnosticsRequest:
    """Asks what the engine's process holds.

    Attributes:
        collected: Run Python's garbage collector first, which delays calls by some milliseconds.
    """

    collected: bool = False


def diagnostics_enabled() -> bool:
    """Returns whether this process was started with the switch."""
    return os.environ.get(DIAGNOSTICS_VARIABLE) == "1"


def diagnostic_operations(watch: LoopWatch) -> list[Operation]:
    """Returns the operations that the control socket offers besides those of production."""
    return [
        Operation(LATENESS, LatenessRequest, watch.report),
        Operation(DIAGNOSTICS, DiagnosticsRequest, _diagnose),
    ]


async def _diagnose(request: DiagnosticsRequest) -> Diagnostics:
    return diagnose(collected=request.collected)


def ask_lateness(data_dir: Path, request: LatenessRequest) -> Lateness | None:
    """Returns how late the running engine's event loop was; None when no engine is running.

    Raises:
        EngineRefused: The engine was started without the switch.
        EngineSilent: The engine did not answer.
    """
    done = ask(data_dir, LATENESS, request)
    return None if done is None else Lateness(**done)


def ask_diagnostics(data_dir: Path, *, collected: bool = False) -> Diagnostics | None:
    """Returns what the running engine's process holds; None when no engine is running.

    Raises:
        EngineRefused: The engine was started without the switch.
        EngineSilent: The engine did not answer.
    """
    done = ask(data_dir, DIAGNOSTICS, DiagnosticsRequest(collected))
    return None if done is None else Diagnostics(**done)
