"""A soak test: watches the engine's process under a constant load for a long time."""

import asyncio
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench.servers import Server, engine
from bench.system import BenchSystem
from engine.config import secrets
from phones.ports import free_port
from tests.contract.ledger import RULES
from tests.integration.fake_channels import FakeChannels
from tests.soak import judge
from tests.soak.customer import Customer
from tests.soak.load import Load
from tests.soak.plan import Wanted
from tests.soak.receiver import Receiver
from tests.soak.system import create_soak_system
from tests.soak.watch import Sample, look

ShowProgress = Callable[[str], None]

# The longest wait until all calls have ended, all callbacks are delivered and all connections closed.
REST_SECONDS = 40.0
LOOK_SECONDS = 0.5
SAMPLES_A_MESSAGE = 10
AT_REST = ("calls up", "callbacks pending")
LOOKS_AT_REST = 4
# The permitted share of failed calls: a busy machine may decide a call too late, and the call is then refused.
MOST_FAILED = 0.01
# Of these the books can be held to, whose callbacks and records are forgotten on the way.
MONEY = [rule for rule in RULES if "reported" not in rule and "callbacks" not in rule]


@dataclass(frozen=True)
class Report:
    """The result.

    Attributes:
        calls: Calls in the watched time.
        counts: Everything that was done.
        tasks: The event loop's tasks at rest.
    """

    calls: int
    samples: list[Sample]
    trends: list[judge.Trend]
    counts: Mapping[str, int]
    failures: list[str]
    tasks: Mapping[str, int]


def run(wanted: Wanted, show_progress: ShowProgress, environment: Mapping[str, str] | None = None) -> Report:
    """Runs a soak test. `environment` holds further environment variables of the engine."""
    with tempfile.TemporaryDirectory(prefix="rented-numbers-soak-") as directory:
        return asyncio.run(_run(Path(directory), wanted, show_progress, environment or {}))


async def _run(directory: Path, wanted: Wanted, show_progress: ShowProgress, environment: Mapping[str, str]) -> Report:
    async with FakeChannels() as ami, Receiver() as receiver:
        system = await asyncio.to_thread(
            create_soak_system, directory / "system", wanted, (free_port(), free_port()), ami.port
        )
        ami.secret = secrets.load(system.settings.data_dir / "secrets").ami_secret
        warm_up = wanted.warm_up + wanted.settle
        show_progress(f"{wanted.rate:g} calls/s: {warm_up:.0f} s to warm up, {wanted.watched:.0f} s watched")
        # A thread starts the engine, because this event loop must answer the engine meanwhile.
        running = engine(system, directory / "engine.log", environment)
        server = await asyncio.to_thread(running.__enter__)
        try:
            async with Customer(system, wanted, receiver.url) as customer:
                await customer.begin()
                soak = _Soak(system, server, wanted, customer, Load(system, wanted, ami, customer), show_progress)
                report = await soak.run()
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)
        broken = _broken(system)
    counts = Counter(report.counts) + Counter({f"callback: {name}": times for name, times in receiver.counts.items()})
    return Report(report.calls, report.samples, report.trends, counts, [*report.failures, *broken], report.tasks)


def _broken(system: BenchSystem) -> list[str]:
    with closing(sqlite3.connect(system.settings.database)) as db:
        found = {rule: db.execute(RULES[rule]).fetchall() for rule in MONEY}
    return [f"ledger: {rule}: broken by {len(ids)}" for rule, ids in found.items() if ids]


class _Soak:
    def __init__(
        self,
        system: BenchSystem,
        server: Server,
        wanted: Wanted,
        customer: Customer,
        load: Load,
        show_progress: ShowProgress,
    ) -> None:
        self._system = system
        self._server = server
        self._wanted = wanted
        self._customer = customer
        self._load = load
        self._show_progress = show_progress

    async def run(self) -> Report:
        await self._load.run(self._wanted.warm_up)
        before = await self._rest()
        calls = self._load.counts["calls"]
        samples = await self._watched()
        calls = self._load.counts["calls"] - calls
        after = await self._rest()
        found = judge.trends(samples, (before, after))
        failed = self._load.counts["failed"]
        complaints = [f"{failed} calls or requests failed, such as:", *self._load.complaints] if failed else []
        for complaint in complaints:
            self._show_progress(complaint)
        return Report(
            calls,
            samples,
            found,
            self._load.counts + self._customer.counts,
            judge.faults(found, calls) + (complaints if failed > calls * MOST_FAILED else []),
            after.tasks,
        )

    async def _watched(self) -> list[Sample]:
        """Takes samples until no more calls begin. Later samples would not show the state under load."""
        load = asyncio.create_task(self._load.run(self._wanted.settle + self._wanted.watched))
        await asyncio.sleep(self._wanted.settle)
        samples = [await self._look()]
        while (latest := samples[-1]).at - samples[0].at < self._wanted.watched - self._wanted.sample_every:
            if len(samples) % SAMPLES_A_MESSAGE == 1:
                self._report_progress(latest)
            await asyncio.sleep(self._wanted.sample_every)
            samples.append(await self._look())
        await load
        return samples

    async def _look(self, *, at_rest: bool = False) -> Sample:
        return await look(self._server, self._system, self._customer.counts, at_rest=at_rest)

    async def _rest(self) -> Sample:
        """Returns the lowest value of each figure at rest, or after REST_SECONDS the present values.

        Bookings still expire and send callbacks; only what never ends is a finding.
        """
        for _ in range(int(REST_SECONDS / LOOK_SECONDS)):
            seen = await self._look()
            if not any(seen.values[name] for name in AT_REST):
                break
            await asyncio.sleep(LOOK_SECONDS)
        await self._customer.rest()
        looks = []
        for _ in range(LOOKS_AT_REST):
            await asyncio.sleep(LOOK_SECONDS)
            looks.append(await self._look(at_rest=True))
        least = {name: min(each.values[name] for each in looks) for name in looks[0].values}
        return Sample(looks[-1].at, least, min((each.tasks for each in looks), key=len))

    def _report_progress(self, sample: Sample) -> None:
        shown = ("resident bytes", "pieces of memory", "tasks", "open files and sockets", "calls up")
        figures = ", ".join(f"{name} {sample.values[name]:,.0f}" for name in shown)
        self._show_progress(f"{self._load.counts['calls']} calls, {self._load.counts['failed']} failed: {figures}")
