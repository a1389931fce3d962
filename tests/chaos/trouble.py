"""What happens to the system during the calls: planned kills, and renewals that may meet a dying engine."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from random import Random
from typing import Self

from tests.chaos.plan import Kill, Step
from tests.e2e.api_client import Answer
from tests.e2e.system import System

RENEWAL_SECONDS = 1.0

Request = Callable[[str, str, dict[str, object]], Answer]


@dataclass(frozen=True)
class Outage:
    """From the kill (epoch seconds) until Asterisk accepts calls again, or until the engine was started again."""

    began: float
    ended: float


@dataclass
class Trouble:
    """All outages. A kill of both processes is in both lists."""

    engine: list[Outage] = field(default_factory=list)
    asterisk: list[Outage] = field(default_factory=list)


def make(system: System, step: Step, trouble: Trouble) -> None:
    """Kills and restarts. Returns when the processes were started, before they answer."""
    if not step.starting:
        # On a busy machine an engine would otherwise be killed again and again before it is up.
        system.until(lambda: _answers(system), "the engine is up")
    time.sleep(step.wait)
    began = time.time()
    if step.kill is not Kill.ENGINE:
        system.kill_asterisk()
    if step.kill is not Kill.ASTERISK:
        system.kill_engine()
        system.start_engine()
        trouble.engine.append(Outage(began, time.time()))
    if step.kill is not Kill.ENGINE:
        system.start_asterisk()
        trouble.asterisk.append(Outage(began, time.time()))


def _answers(system: System) -> bool:
    with suppress(HTTPException, ValueError):  # it was still starting, or dies in the middle of its answer
        return system.get("/health").status != 0
    return False


class Renewals:
    """A customer who renews one of the scarce bookings every second, whatever happens to the engine."""

    def __init__(self, bookings: Sequence[str], request: Request, seed: int) -> None:
        """`bookings` are ids; `request` sends a request to the API."""
        self._bookings = bookings
        self._request = request
        self._chance = Random(f"renewals {seed}")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self.accepted = 0
        self.failed = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _renew(self) -> None:
        while not self._stop.wait(RENEWAL_SECONDS):
            booking = self._chance.choice(self._bookings)
            try:
                answer = self._request("PUT", f"/bookings/{booking}", {"usagePlan": "SMALL"})
            except Exception:
                self.failed += 1  # the engine died in the middle of its answer
                continue
            self.accepted += answer.status == 200
            self.failed += answer.status != 200
