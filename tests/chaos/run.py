"""One run, from the first booking to the verdict."""

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from phones.listener import CallbackListener
from phones.messages import Message
from phones.ports import free_port_range
from phones.sipp import Sipp
from tests.chaos import books, judge, load, plan, seen, trouble
from tests.chaos.figures import Crowd, Report
from tests.chaos.plan import Wanted
from tests.chaos.trouble import Outage, Renewals, Trouble
from tests.e2e.booking import Booking
from tests.e2e.system import System
from tests.verdict import ShowProgress

PLANS = {
    "SMALL": {"seconds": 20, "calls": 8, "valid_for": 86400},  # scarce
    "MEDIUM": {"seconds": 60, "calls": 1, "valid_for": 86400},  # credit for one
    "LARGE": {"seconds": 1_000_000, "calls": 100_000, "valid_for": 86400},  # ample
}
SCARCE, AMPLE = 8, 6
RTP_PORTS = 800
# The limit that ends calls whose sides do not hang up.
LONGEST_CALL_SECONDS = 6
CROWD_SERIAL = 900_000
SECONDS_A_STEP = 10.0
LAST_CALLS_SECONDS = 60.0


@dataclass
class _Scene:
    wanted: Wanted
    show_progress: ShowProgress
    system: System
    directory: Path
    listener: CallbackListener
    hidden: Sipp
    trouble: Trouble = field(default_factory=Trouble)
    heard: list[Message] = field(default_factory=list)
    expected: dict[str, float] = field(default_factory=dict)


def run(wanted: Wanted, show_progress: ShowProgress) -> Report:
    rtp = free_port_range(RTP_PORTS)
    system = System(
        plans=PLANS,
        longest_call=LONGEST_CALL_SECONDS,
        reconcile_interval=1,
        rtp_start=rtp,
        rtp_end=rtp + RTP_PORTS - 1,
        callback_retries=[1] * 20,
        max_undecided_calls=1000,  # all calls of a crowd must reach the engine, and none be refused before
    )
    began = time.monotonic()
    with ExitStack() as cleanup:
        directory = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        listener = cleanup.enter_context(CallbackListener())
        cleanup.enter_context(system)
        hidden = cleanup.enter_context(load.callees(system.trunk_port, directory / "callees"))
        scene = _Scene(wanted, show_progress, system, directory, listener, hidden)
        return _play(scene, began)


def _play(scene: _Scene, began: float) -> Report:
    system, url = scene.system, scene.listener.url
    ample = [system.book("LARGE", url) for _ in range(AMPLE)]
    scarce = [system.book("SMALL", url) for _ in range(SCARCE)]
    crowded = [_crowd(scene, number, killing=killing) for number, killing in enumerate((False, True))]
    renewed = _storm(scene, ample, scarce)
    quiet_after = _until(lambda: system.ask(books.leases_up) == 0, scene.wanted.quiet_seconds)
    scene.show_progress("waiting for the callbacks")
    _until(lambda: system.ask(books.callbacks_pending) == 0, scene.wanted.quiet_seconds)
    written = system.ask(books.read)
    rang = scene.hidden.messages()
    calls = seen.calls(scene.heard, rang)
    found = judge.mismatches(calls, written, lambda _: scene.trouble.asterisk, scene.expected)
    found += [
        judge.Mismatch(each, "it rang, but no telephone called", "", "")
        for each in seen.unexpected_sources(calls, rang)
    ]
    return Report(
        wanted=scene.wanted,
        seconds=time.monotonic() - began,
        seen=calls,
        books=written,
        trouble=scene.trouble,
        crowds=[_outcome(calls, each) for each in crowded],
        quiet_after=quiet_after,
        renewed=renewed,
        delivered=Counter(str(each.content.get("id")) for each in scene.listener.received()),
        stalls=seen.stalls(scene.heard, rang),
        mismatches=found,
    )


def _storm(scene: _Scene, ample: list[Booking], scarce: list[Booking]) -> int:
    """Makes calls until all kills have been made. Returns the number of renewals that succeeded."""
    steps = plan.steps(scene.wanted)
    seconds = sum(step.wait for step in steps) + len(steps) * SECONDS_A_STEP
    planned = plan.calls(scene.wanted.seed, [each.service for each in ample], [each.service for each in scarce])
    lines = list(islice(planned, int(seconds * scene.wanted.rate)))
    callers = load.callers(scene.system.sip, lines, scene.wanted.rate, scene.directory / "callers")
    plenty = {each.service for each in ample}
    scene.expected |= {
        line.source: min(line.talk / 1000, LONGEST_CALL_SECONDS)
        for line in lines
        if line.service in plenty and line.talk is not None
    }
    scene.show_progress(f"{scene.wanted.rate:g} calls/s, {len(steps)} kills")
    with callers, Renewals([each.id for each in scarce], scene.system.request, scene.wanted.seed) as renewals:
        for number, step in enumerate(steps, 1):
            trouble.make(scene.system, step, scene.trouble)
            if number % 20 == 0:
                scene.show_progress(f"{number} kills")
        callers.no_more_calls()
        scene.show_progress("waiting for the last calls to end")
        callers.wait(LAST_CALLS_SECONDS)
    scene.heard += callers.messages()
    return renewals.accepted


@dataclass(frozen=True)
class _Crowded:
    sources: frozenset[str]
    killed: bool


def _crowd(scene: _Scene, number: int, *, killing: bool) -> _Crowded:
    """Makes many calls at once on credit for one. With `killing`, it kills the engine among them."""
    booked = scene.system.book("MEDIUM", scene.listener.url)
    lines = plan.crowd(CROWD_SERIAL + number * scene.wanted.crowd, scene.wanted.crowd, booked.service)
    with load.callers(scene.system.sip, lines, 1000, scene.directory / f"crowd-{number}") as callers:
        if killing:
            scene.system.until(lambda: len(callers.messages()) > scene.wanted.crowd, "the crowd has dialled")
            scene.trouble.engine.append(_killed_engine(scene.system))
        callers.wait(LAST_CALLS_SECONDS)
    scene.heard += callers.messages()
    return _Crowded(frozenset(line.source for line in lines), killing)


def _killed_engine(system: System) -> Outage:
    began = time.time()
    system.kill_engine()
    system.start_engine()
    return Outage(began, time.time())


def _outcome(calls: list[seen.Seen], crowded: _Crowded) -> Crowd:
    theirs = [call for call in calls if call.source in crowded.sources]
    bridged = sum(len(call.reached) for call in theirs)
    return Crowd(len(theirs), crowded.killed, bridged, sum(call.status == 200 for call in theirs))


def _until(true: Callable[[], bool], timeout: float) -> float | None:
    """Waits until the condition holds. Returns the seconds that it took, or None after `timeout` seconds."""
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > timeout:
            return None
        time.sleep(0.1)
    return time.monotonic() - began
