"""All metrics of an engine, by name. docs/operations.md explains them; a test compares both.

No label ever has a telephone number, or an account's name or id. The number of label values is bounded: words of the
domain, names of trunks, countries of the pool, paths of routes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

from prometheus_client import Metric

from engine.asterisk.ami_link import AmiLink, LinkState
from engine.asterisk.reconciler import Reconciler
from engine.asterisk.trunk_states import TrunkState, TrunkStates
from engine.callbacks.tallies import DeliveryTallies
from engine.calls.report_intake import ReportIntake
from engine.metrics.database_figures import DatabaseFigures
from engine.metrics.families import counter, gauge, histogram, states
from engine.metrics.tallies import Tallies
from engine.storage.interface import EngineStorage
from engine.storage.probe import UP, StorageProbe

# Of numbers of which no country is known.
NO_COUNTRY = "none"


@dataclass(frozen=True, slots=True)
class Sources:
    """The parts of the engine whose counts are read.

    Attributes:
        storage: The database.
        probe: Knows whether the database can be read and written.
        tallies: Counts that belong to no part.
        callbacks: Attempts to deliver callbacks.
        link: The manager interface.
        reports: Reports of the dialplan.
        trunks: States of the trunks, and attempts to call over them.
        reconciler: Has counted the calls on each trunk.
    """

    storage: EngineStorage
    probe: StorageProbe
    tallies: Tallies
    callbacks: DeliveryTallies
    link: AmiLink
    reports: ReportIntake
    trunks: TrunkStates
    reconciler: Reconciler


def collect(sources: Sources, figures: DatabaseFigures, readings_failed: int) -> Iterator[Metric]:
    """Yields all metrics.

    Args:
        sources: What the engine's parts have counted.
        figures: What the database says; what could not be read is left out.
        readings_failed: How many readings of `figures` have failed.
    """
    yield gauge("build_info", "The version of the product.", {(version("rented-numbers"),): 1}, ("version",))
    yield from _calls(sources)
    yield from _trunks(sources)
    yield from _asterisk(sources)
    yield from _callbacks(sources, figures)
    yield from _database(sources, figures, readings_failed)
    yield from figure_families(figures)
    yield histogram("loop_lag_seconds", "How late the event loop is.", {(): sources.tallies.lag.seconds})
    requests = dict(sources.tallies.requests.counts)
    yield counter("http_requests", "HTTP requests, by their route.", requests, ("route", "method", "status"))


def _calls(sources: Sources) -> Iterator[Metric]:
    calls = sources.tallies.calls
    ended = {(str(disposition),): count for disposition, count in calls.dispositions.items()}
    yield counter("calls", "Calls to bookings, by their disposition.", ended, ("disposition",))
    routes = {(str(result),): tally for result, tally in sources.tallies.routes.seconds.items()}
    yield histogram("route_seconds", "How long Asterisk waits for the decision on a call.", routes, ("result",))
    delays = {(trunk,): tally for trunk, tally in calls.post_dial_seconds.items()}
    yield histogram("post_dial_delay_seconds", "From the INVITE to a trunk until it rings.", delays, ("trunk",))
    yield histogram("answer_seconds", "From a call's arrival until it is answered.", {(): calls.answer_seconds})
    yield counter("overrun_seconds", "Seconds that calls talked beyond their leases.", {(): calls.overrun_ms / 1000})


def _trunks(sources: Sources) -> Iterator[Metric]:
    trunks = sources.trunks
    yield states("trunk_state", "1 for the state in which a trunk is.", trunks.states(), TrunkState, "trunk")
    attempts = {(name, str(result)): count for (name, result), count in trunks.attempts.items()}
    yield counter(
        "trunk_attempts",
        "Attempts to call over a trunk, by the class of its SIP answer.",
        attempts,
        ("trunk", "result"),
    )
    calls = sources.reconciler.calls_by_trunk
    if calls is not None:
        on_each = {(name,): calls.get(name, 0) for name in trunks.statuses}
        yield gauge("trunk_calls", "Calls on a trunk, by Asterisk's channels.", on_each, ("trunk",))


def _asterisk(sources: Sources) -> Iterator[Metric]:
    link, reports = sources.link, sources.reports
    now = {(str(state).replace(" ", "_"),): float(state is link.state) for state in LinkState}
    yield gauge("ami_state", "1 for the state of the link to Asterisk.", now, ("state",))
    yield counter("ami_connections", "Connections to Asterisk's manager interface.", {(): link.connections})
    lost = {("queue_full",): reports.dropped, ("found_in_spool",): reports.lost}
    yield counter("events_lost", "Events of Asterisk that the engine did not get, or had no room for.", lost, ("how",))
    yield counter("events_refused", "Events that were no reports of our Asterisks.", {(): reports.refused})


def _callbacks(sources: Sources, figures: DatabaseFigures) -> Iterator[Metric]:
    callbacks = sources.callbacks
    attempts = {(outcome,): count for outcome, count in callbacks.attempts.items()}
    yield counter("callback_attempts", "Attempts to deliver callbacks.", attempts, ("outcome",))
    delay = {(): callbacks.delay_seconds}
    yield histogram("callback_delay_seconds", "From a callback's creation until its first attempt.", delay)
    if figures.oldest_due_ms is not None:
        due = {(): figures.oldest_due_ms / 1000}
        yield gauge("callback_oldest_due_seconds", "For how long the oldest waiting callback has been due.", due)


def _database(sources: Sources, figures: DatabaseFigures, readings_failed: int) -> Iterator[Metric]:
    tallies = sources.storage.tallies
    yield gauge("database_up", "Whether the database can be read and written.", {(): float(sources.probe.state == UP)})
    yield histogram(
        "storage_commit_seconds", "How long a batch takes until it is on disk.", {(): tallies.commit_seconds}
    )
    yield histogram("storage_batch_commands", "Commands that share one commit.", {(): tallies.batch_commands()})
    yield counter("storage_failures", "Batches of which nothing was kept.", {(): tallies.failures})
    yield gauge("storage_waiting_commands", "Commands that wait for the storage.", {(): sources.storage.waiting})
    yield counter("readings_failed", "Readings of the database for metrics that failed.", {(): readings_failed})
    failed_steps = {(): sources.tallies.failed_sweep_steps}
    yield counter("sweep_steps_failed", "Steps of the sweep that failed although the database did not.", failed_steps)


def figure_families(figures: DatabaseFigures) -> Iterator[Metric]:
    """Yields what the database says of calls, numbers and bookings, as far as it could be read."""
    if live := figures.live:
        calls = {("ringing",): live.ringing, ("talking",): live.talking}
        yield gauge("live_calls", "Calls that are up. Each holds one lease.", calls, ("state",))
        seconds = {("ringing",): live.ringing_seconds, ("talking",): live.talking_seconds}
        yield gauge("leased_seconds", "Seconds that live calls have leased.", seconds, ("state",))
    if silent := figures.silent:
        yield gauge("silent_asterisks", "Asterisks that have calls, but no engine.", {(): silent.asterisks})
        yield gauge("silent_leased_seconds", "Seconds that their calls have leased.", {(): silent.seconds})
    if figures.pool is not None:
        numbers = {(country or NO_COUNTRY, state.lower()): count for (country, state), count in figures.pool.items()}
        # A country without free numbers has a 0: an alert cannot see what is absent.
        numbers = {(country, "free"): 0 for country, _ in numbers} | numbers
        yield gauge("numbers", "Numbers of the pool.", numbers, ("country", "state"))
    if bookings := figures.bookings:
        counts = {("active",): bookings.active, ("expired",): bookings.expired}
        yield gauge("bookings", "Bookings that are not gone.", counts, ("status",))
