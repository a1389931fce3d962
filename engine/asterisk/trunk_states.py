"""Which trunks are up, by what Asterisk knows from its own OPTIONS requests to them (setting `qualify`).

The engine reads the device state of each trunk's endpoint over the manager interface, which needs no right beyond the
class `call`. A trunk whose carrier does not answer is left out of the routes of calls, so that no caller waits for it.
What is unknown counts as up: a call that fails says more than no call.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import structlog

from engine.asterisk.ami_link import AmiLink
from engine.asterisk.errors import AmiError
from engine.domain.call_ends import Attempt, AttemptResult, DialplanEnd, attempt_results
from engine.domain.times import EpochMs
from engine.runtime.clock import Clock
from engine.runtime.periodic import wait_for

log = structlog.get_logger(__name__)

LOOK_SECONDS = 2.0
# Asterisk says UNAVAILABLE of a trunk that it has not asked yet, and asks it within the interval `qualify`. An answer
# takes up to 3 s.
FIRST_ANSWER_SECONDS = 4.0
# An Asterisk without func_devstate writes an error into its log at each question.
LOOK_AGAIN_SECONDS = 60.0
_PREFIX = "PJSIP/trunk-"


class TrunkState(StrEnum):
    """State of a trunk.

    Attributes:
        UP: Its carrier answers, or is not asked (`qualify = 0`).
        DOWN: Its carrier does not answer.
        MISSING: Asterisk has no such trunk: its files are older than the settings.
        UNKNOWN: Asterisk does not say.
    """

    UP = "up"
    DOWN = "down"
    MISSING = "missing"
    UNKNOWN = "unknown"


# By Asterisk's device state (function DEVICE_STATE). All others, such as NOT_INUSE, mean that the trunk is up.
OF_DEVICE_STATE = {
    "": TrunkState.UNKNOWN,
    "UNKNOWN": TrunkState.UNKNOWN,
    "UNAVAILABLE": TrunkState.DOWN,  # no contact of the endpoint answers
    "INVALID": TrunkState.MISSING,
}


@dataclass(frozen=True, slots=True)
class TrunkStatus:
    """What is known of a trunk.

    Attributes:
        state: Its state.
        since: Since when it has this state.
        failure: The last attempt to call over it that failed at the trunk, since the engine's start.
        failed_at: When that was.
    """

    state: TrunkState
    since: EpochMs
    failure: Attempt | None = None
    failed_at: EpochMs | None = None


class TrunkStates:
    """Keeps the states of the trunks while `run` runs.

    Args:
        link: The manager interface.
        clock: For the times of changes.
        qualify: For each trunk the seconds between two of Asterisk's OPTIONS requests to it.

    Attributes:
        statuses: What is known of each trunk.
        attempts: How many attempts to call over each trunk had each result, since the engine's start.
    """

    def __init__(self, link: AmiLink, clock: Clock, qualify: Mapping[str, int]) -> None:
        self._link = link
        self._clock = clock
        self._qualify = dict(qualify)
        self.statuses = {name: TrunkStatus(TrunkState.UNKNOWN, clock.now()) for name in qualify}
        self.attempts = {(name, result): 0 for name in qualify for result in AttemptResult}
        self._dead: frozenset[str] = frozenset()
        # Since when a trunk has been unavailable, by the monotonic clock; and those that this Asterisk has seen up.
        self._unavailable: dict[str, float] = {}
        self._seen_up: set[str] = set()
        self._connection = 0
        self._is_told = True

    @property
    def dead(self) -> frozenset[str]:
        """The trunks that are known to be down."""
        return self._dead

    def is_up(self, name: str) -> bool:
        """Returns whether calls may be sent over a trunk."""
        return name not in self._dead

    def states(self) -> dict[str, str]:
        """Returns the state of each trunk, as /health shows it."""
        return {name: str(status.state) for name, status in self.statuses.items()}

    def note_end(self, end: DialplanEnd) -> None:
        """Notes the attempts of a call that has ended: counts their results, and keeps the last failure of a trunk."""
        for counted in attempt_results(end):
            # The name may be cut, or that of a trunk that the settings no longer have.
            if counted in self.attempts:
                self.attempts[counted] += 1
        for attempt in end.tried:
            if attempt.failed and (status := self.statuses.get(attempt.trunk)):
                self.statuses[attempt.trunk] = replace(status, failure=attempt, failed_at=self._clock.now())

    async def run(self, stop: asyncio.Event) -> None:
        """Reads the states every LOOK_SECONDS until `stop` is set."""
        while not stop.is_set():
            await self._look()
            await wait_for(stop, LOOK_SECONDS if self._is_told else LOOK_AGAIN_SECONDS)

    async def _look(self) -> None:
        if self._connection != self._link.connections:
            # Perhaps another Asterisk, or one that has just started.
            self._connection = self._link.connections
            self._unavailable.clear()
            self._seen_up.clear()
        answers: list[str | None] = []
        # One after the other: there may be twenty, and no call waits for them.
        for name in self.statuses:
            answers.append(await self._device_state(name))
            self._note(name, self._state_by(name, answers[-1]))
            self._update_dead()
        # Without func_devstate every answer is empty.
        self._is_told = not answers or any(answers) or None in answers

    async def _device_state(self, name: str) -> str | None:
        """Returns Asterisk's device state of a trunk; None if Asterisk cannot be asked."""
        if not self._link.is_up:
            return None
        try:
            answer = await self._link.action("Getvar", Variable=f"DEVICE_STATE({_PREFIX}{name})")
        except AmiError:
            return None
        return str(answer.value or "")

    def _state_by(self, name: str, device_state: str | None) -> TrunkState:
        state = OF_DEVICE_STATE.get(device_state or "", TrunkState.UP)
        if state is not TrunkState.DOWN:
            self._unavailable.pop(name, None)
            if state is TrunkState.UP:
                self._seen_up.add(name)
            return state
        now = time.monotonic()
        away = now - self._unavailable.setdefault(name, now)
        was_asked = name in self._seen_up or away >= self._qualify[name] + FIRST_ANSWER_SECONDS
        return TrunkState.DOWN if was_asked else TrunkState.UNKNOWN

    def _note(self, name: str, state: TrunkState) -> None:
        status = self.statuses[name]
        if state is status.state:
            return
        now = self._clock.now()
        self.statuses[name] = replace(status, state=state, since=now)
        if state in {TrunkState.DOWN, TrunkState.MISSING}:
            log.warning(f"trunk_{state}", trunk=name)
        elif status.state in {TrunkState.DOWN, TrunkState.MISSING}:
            log.info("trunk_back", trunk=name, state=state, away_ms=now - status.since)

    def _update_dead(self) -> None:
        dead = frozenset(name for name, status in self.statuses.items() if status.state is TrunkState.DOWN)
        if dead != self._dead and len(dead) == len(self.statuses):
            log.error("all_trunks_down", trunks=sorted(dead))
        self._dead = dead


def calls_by_trunk(channels: Sequence[str]) -> dict[str, int]:
    """Counts the channels of each trunk among the names of all channels, such as `PJSIP/trunk-main-0000001f`."""
    counts: dict[str, int] = {}
    for channel in channels:
        if channel.startswith(_PREFIX):
            name = channel.removeprefix(_PREFIX).rpartition("-")[0]
            counts[name] = counts.get(name, 0) + 1
    return counts
