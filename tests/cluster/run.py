"""One run, from the first booking to the verdict."""

import re
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from cluster.postgresql import Pair
from cluster.running import Cluster
from engine.config.postgres_address import PostgresAddress
from engine.config.tuning import TUNING_VARIABLE
from phones.listener import CallbackListener
from phones.messages import Message
from phones.sipp import Sipp
from tests.chaos import books, judge, load, seen
from tests.chaos.figures import Crowd
from tests.chaos.plan import PlannedCall, calls, crowd
from tests.chaos.trouble import Renewals
from tests.cluster import plan
from tests.cluster.api import Booked, ClusterApi
from tests.cluster.figures import Report, outages_of
from tests.cluster.moves import Moves
from tests.cluster.patroni import PatroniPair
from tests.cluster.plan import Wanted
from tests.cluster.starting import cluster_on_free_ports
from tests.cluster.trouble import Relays, Trouble
from tests.e2e.environment import QUICK, as_environment
from tests.postgresql import Outsider
from tests.verdict import ShowProgress

# The limit that ends calls whose sides do not hang up.
LONGEST_CALL_SECONDS = 6
PLANS = {
    "SMALL": {"seconds": LONGEST_CALL_SECONDS, "calls": 8, "valid_for": 86400},  # all of it leased by one call
    "MEDIUM": {"seconds": 60, "calls": 1, "valid_for": 86400},  # credit for one
    "LARGE": {"seconds": 1_000_000, "calls": 100_000, "valid_for": 86400},  # ample
}
SCARCE, AMPLE = 6, 8
CROWD_SERIAL = 900_000
SECONDS_A_STEP = 25.0
SECONDS_A_STEP_OF_PATRONI = 60.0
LAST_CALLS_SECONDS = 60.0
SETTINGS: dict[str, object] = {
    **QUICK,
    "plans": PLANS,
    "longest_call": LONGEST_CALL_SECONDS,
    "reconcile_interval": 1,
    "callback_retries": [1] * 30,
    "max_undecided_calls": 1000,  # all calls of a crowd must reach the engine, and none be refused before
}

_UNSURE = re.compile(r'"kind": "StorageUnsure".*"event": "commit_failed"')


@dataclass
class _Scene:
    wanted: Wanted
    show_progress: ShowProgress
    cluster: Cluster
    api: ClusterApi
    trouble: Trouble
    directory: Path
    callbacks: str
    heard: list[Message] = field(default_factory=list)
    expected: dict[str, float] = field(default_factory=dict)

    @property
    def entry(self) -> str:
        """Where carriers send calls."""
        host, port = self.cluster.kamailio.address
        return f"{host}:{port}"


def run(
    wanted: Wanted, show_progress: ShowProgress, afterwards: Callable[[Cluster, Path], None] = lambda *_: None
) -> Report:
    """Makes a run. `afterwards` gets the cluster and its directory, when the telephones of the run are gone."""
    began = time.monotonic()
    environment = as_environment(SETTINGS)
    tuning = {TUNING_VARIABLE: environment[TUNING_VARIABLE]}
    settings = {name: value for name, value in SETTINGS.items() if f"RENTED_NUMBERS_{name.upper()}" in environment}
    relays = Relays()
    with ExitStack() as cleanup:
        listener = cleanup.enter_context(CallbackListener())
        cleanup.callback(relays.close)
        cluster, directory = cleanup.enter_context(
            cluster_on_free_ports(
                settings=settings,
                environment=tuning,
                database=relays.open,
                servers=PatroniPair if wanted.patroni else Pair,
            )
        )
        hidden = cleanup.enter_context(load.callees(cluster.ports.carrier, directory / "callees"))
        trouble = Trouble(cluster, relays)
        scene = _Scene(wanted, show_progress, cluster, ClusterApi(cluster), trouble, directory, listener.url)
        report = _play(scene, hidden, listener, began)
        hidden.close()
        afterwards(cluster, directory)
        return report


def _play(scene: _Scene, hidden: Sipp, listener: CallbackListener, began: float) -> Report:
    wanted, cluster = scene.wanted, scene.cluster
    ample, scarce = (
        [scene.api.book(name, scene.callbacks) for _ in range(count)]
        for name, count in (("LARGE", AMPLE), ("SMALL", SCARCE))
    )
    killing = (False, True, True) if wanted.crowd else ()
    crowds = [_crowd(scene, number, killing=each) for number, each in enumerate(killing)]
    moves = _moves(scene)
    _storm(scene, ample, scarce)
    quiet_after = _until(lambda: _ask(cluster, books.leases_up) == 0, wanted.quiet_seconds)
    scene.show_progress("waiting for the callbacks")
    _until(lambda: _ask(cluster, books.callbacks_pending) == 0, wanted.quiet_seconds)
    written = books.read(Outsider(PostgresAddress(cluster.postgresql.url())).copied())
    names = tuple(node.asterisk_name for node in cluster.nodes)
    rang, happened = hidden.messages(), scene.trouble.happened
    found = seen.calls(scene.heard, rang)
    return Report(
        wanted=wanted,
        seconds=time.monotonic() - began,
        names=names,
        seen=found,
        books=written,
        troubles=happened,
        crowds=[_outcome(found, each) for each in crowds],
        crowded=frozenset(source for each in crowds for source in each.sources),
        moves=moves,
        quiet_after=quiet_after,
        delivered=Counter(str(each.content.get("id")) for each in listener.received()),
        unsure=sum(len(_UNSURE.findall(node.log)) for node in cluster.nodes),
        audit=cluster.nodes[0].command("ledger", "verify"),
        stalls=seen.stalls(scene.heard, rang),
        mismatches=judge.mismatches(
            found, written, lambda call: outages_of(call, written, happened, names), scene.expected
        ),
    )


def _storm(scene: _Scene, ample: list[Booked], scarce: list[Booked]) -> None:
    """Makes calls until every trouble has happened."""
    wanted, steps = scene.wanted, plan.steps(scene.wanted)
    services = ([each.service for each in booked] for booked in (ample, scarce))
    seconds = len(steps) * (SECONDS_A_STEP_OF_PATRONI if wanted.patroni else SECONDS_A_STEP)
    lines = list(islice(calls(wanted.seed, *services), int(seconds * wanted.rate)))
    plenty = {each.service for each in ample}
    scene.expected |= {
        line.source: min(line.talk / 1000, LONGEST_CALL_SECONDS)
        for line in lines
        if line.service in plenty and line.talk is not None
    }
    with (
        load.callers(scene.entry, lines, wanted.rate, scene.directory / "callers") as callers,
        Renewals([each.id for each in scarce], scene.api.request, wanted.seed),
    ):
        for number, step in enumerate(steps, 1):
            scene.show_progress(f"{number} of {len(steps)}: {step.kind}")
            scene.trouble.make(step)
        scene.trouble.wait_well()
        callers.no_more_calls()
        scene.show_progress("waiting for the last calls to end")
        callers.wait(LAST_CALLS_SECONDS)
        scene.heard += callers.messages()


def _moves(scene: _Scene) -> list[tuple[str, str]]:
    moves = Moves(scene.cluster, scene.entry, scene.directory)
    scene.show_progress(f"{scene.wanted.moves} calls that need seconds from a call in the other Asterisk")
    made = [moves.make(number, scene.api.book("SMALL", scene.callbacks)) for number in range(scene.wanted.moves)]
    scene.heard += moves.heard
    return made


@dataclass(frozen=True)
class _Crowded:
    sources: frozenset[str]
    killed: bool


def _crowd(scene: _Scene, number: int, *, killing: bool) -> _Crowded:
    """Makes many calls at once on credit for one. With `killing`, an engine dies: some of them go to the other node."""
    booked, size = scene.api.book("MEDIUM", scene.callbacks), scene.wanted.crowd
    lines: list[PlannedCall] = crowd(CROWD_SERIAL + number * size, size, booked.service)
    with load.callers(scene.entry, lines, 1000, scene.directory / f"crowd-{number}") as callers:
        if killing:
            _until(lambda: len(callers.messages()) > size, LAST_CALLS_SECONDS)
            scene.trouble.kill_engine(scene.cluster.nodes[0])
        callers.wait(LAST_CALLS_SECONDS)
    scene.heard += callers.messages()
    return _Crowded(frozenset(line.source for line in lines), killing)


def _outcome(found: list[seen.Seen], crowded: _Crowded) -> Crowd:
    theirs = [call for call in found if call.source in crowded.sources]
    bridged = sum(len(call.reached) for call in theirs)
    return Crowd(len(theirs), crowded.killed, bridged, sum(call.status == 200 for call in theirs))


def _ask(cluster: Cluster, question: Callable[[books.Connection], int]) -> int:
    with cluster.postgresql.primary.connect() as connection:
        return question(connection)


def _until(true: Callable[[], bool], timeout: float) -> float | None:
    """Waits until the condition holds. Returns the seconds that it took, or None after `timeout` seconds."""
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > timeout:
            return None
        time.sleep(0.1)
    return time.monotonic() - began
