"""The report of a run."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.chaos import recovery
from tests.chaos.books import Books, Entry
from tests.chaos.figures import STUCK_SECONDS, Crowd
from tests.chaos.judge import Mismatch, killed
from tests.chaos.seen import Seen, Span
from tests.chaos.trouble import Outage
from tests.cluster.patroni import TTL_SECONDS
from tests.cluster.plan import NODES, Kind, Wanted
from tests.cluster.trouble import Happened, Troubles

# After the death of an Asterisk, calls get through the other one.
THROUGH_SECONDS = 3.0
PROMOTION_SECONDS = 2.0
# Patroni notices soon that a server has ended. That a machine is silent it notices only after its ttl.
NOTICED_SECONDS = 3.0
# After a trouble, its effects on calls that come in.
AFTERWARDS_SECONDS = 10.0
CALM_SECONDS = 1.0
DELAYING = (Kind.ENGINE_KILLED, Kind.ENGINE_HUNG, Kind.ASTERISK_KILLED, Kind.ASTERISK_HUNG, Kind.NODE_CUT_OFF)


@dataclass(frozen=True)
class Report:
    """The result of a run.

    Attributes:
        names: The names of the nodes' Asterisks.
        crowded: The callers of the crowds.
        moves: The callers of each pair of calls in two Asterisks.
        quiet_after: Seconds from the end of the last call until every lease was settled; None if that took too long.
        delivered: How often each callback of an answered call arrived, by the call record's id.
        unsure: How many commands of both engines ended without knowing whether they were kept.
        audit: What `ledger verify` has found.
    """

    wanted: Wanted
    seconds: float
    names: tuple[str, ...]
    seen: list[Seen]
    books: Books
    troubles: Troubles
    crowds: list[Crowd]
    crowded: frozenset[str]
    moves: list[tuple[str, str]]
    quiet_after: float | None
    delivered: Counter[str]
    unsure: int
    audit: list[object]
    stalls: list[Span]
    mismatches: list[Mismatch]

    def outages_of(self, call: Seen) -> list[Outage]:
        """When an Asterisk was gone that had the call, as far as the database knows of it."""
        return outages_of(call, self.books, self.troubles, self.names)

    @property
    def _ordinary(self) -> list[Seen]:
        """The calls that came in all the time."""
        special = self.crowded.union(*self.moves)
        return [call for call in self.seen if call.source not in special]

    @property
    def overspent(self) -> int:
        """Whole talked seconds that no lease covered."""
        return sum(int(each) for each in self._overruns if each >= 1)

    @property
    def _overruns(self) -> list[float]:
        """Seconds that answered calls talked past their leases. A suspended Asterisk cannot end its calls."""
        found = []
        for call in self.seen:
            names = {entry.asterisk for entry in self.books.of(call.source)}
            hung = [
                (each.began, each.ended)
                for each in self.troubles.of(Kind.ASTERISK_HUNG)
                if self.names[each.node] in names
            ]
            found += recovery.overruns([call], self.books, self.outages_of, [*self.stalls, *hung])
        return found

    @property
    def _settled_after(self) -> list[float]:
        """For each lease that was open in an Asterisk that was killed or stopped: seconds until it was settled."""
        found = []
        for node, name in enumerate(self.names):
            theirs = {
                source: [each for each in entries if each.asterisk == name]
                for source, entries in self.books.entries.items()
            }
            of_node = Books(theirs, {}, frozenset())
            found += recovery.settled_after(of_node, self.troubles.asterisk_outages(node))
        return found

    @property
    def stuck(self) -> int:
        """The number of leases that were open a minute after their Asterisk was gone."""
        return sum(each > STUCK_SECONDS for each in self._settled_after)

    @property
    def failures(self) -> list[str]:
        """What is wrong; empty if nothing is."""
        found = [str(each) for each in self.mismatches]
        if self.audit:
            found.append(f"`ledger verify` found {self.audit}")
        if self.quiet_after is None:
            found.append(f"leases were not settled {self.wanted.quiet_seconds:.0f} s after the last call")
        if self.stuck:
            found.append(f"{self.stuck} leases were not settled for more than {STUCK_SECONDS:.0f} s")
        if self.overspent:
            found.append(f"no lease covered {self.overspent} s of talk")
        found += [f"{each.bridged} of {each.size} calls on credit for one" for each in self.crowds if each.bridged > 1]
        if lost := self.books.answered - self.delivered.keys():
            found.append(f"{len(lost)} answered calls had no callback: {', '.join(sorted(lost)[:10])}")
        for kind, limit in self._limits().items():
            late = [each for each in self._last_failures(kind) if each > limit]
            if late:
                found.append(f"{kind}: a call failed that was dialled {max(late):.1f} s later")
        return found

    def _limits(self) -> dict[Kind, float]:
        """Until when calls may fail after a trouble, in seconds from its begin."""
        limits = {Kind.ASTERISK_KILLED: THROUGH_SECONDS, Kind.PRIMARY_KILLED: PROMOTION_SECONDS}
        if self.wanted.patroni:
            limits |= dict.fromkeys((Kind.PRIMARY_KILLED, Kind.SWITCHED_OVER), NOTICED_SECONDS + PROMOTION_SECONDS)
            limits |= dict.fromkeys((Kind.PRIMARY_LOST, Kind.PATRONI_KILLED), TTL_SECONDS + 2 * PROMOTION_SECONDS)
            limits |= {Kind.ETCD_KILLED: 0.0, Kind.STANDBY_KILLED: NOTICED_SECONDS}
        return limits

    def lines(self) -> list[str]:
        """The figures as text."""
        return [self._calls(), *self._each_kind(), *self._set_up(), self._h4(), self._money(), *self._rest()]

    def _calls(self) -> str:
        statuses = Counter(str(call.status or "none") for call in self.seen)
        counts = ", ".join(f"{count} of {status}" for status, count in sorted(statuses.items()))
        return f"calls      {len(self.seen)} ({counts}) in {self.seconds:.0f} s"

    def _each_kind(self) -> Iterable[str]:
        """For each kind: the live calls that it met, the new ones, and which of those failed."""
        wrong = {each.source for each in self.mismatches}
        for kind in self.wanted.kinds:
            happened, calls = self.troubles.of(kind), self._ordinary
            alive = [call for each in happened for call in calls if self._lives(call, each)]
            gone = [call for call in alive if killed(call, self.outages_of(call)) is not None]
            new = [call for each in happened for call in calls if each.began <= call.dialled <= each.ended]
            failed = [f"{after:.1f}" for each in happened for after in self._failures_after(each)]
            yield (
                f"{kind:<40} {len(happened)} times, {len(alive)} live calls: {len(gone)} in a lost Asterisk, "
                f"{sum(call.source in wrong for call in alive)} wrong; {len(new)} new calls meanwhile; failed, seconds "
                f"after the begin: {', '.join(failed) or 'none'}; ready again after "
                + ", ".join(f"{each.ended - each.began:.1f} s" for each in happened)
            )

    @staticmethod
    def _lives(call: Seen, happened: Happened) -> bool:
        ended = call.ended or math.inf
        return call.answered is not None and call.answered < happened.began < ended

    def _last_failures(self, kind: Kind) -> list[float]:
        """For each trouble of a kind: seconds from its begin to the dialling of the last call that failed."""
        return [max(self._failures_after(each), default=0.0) for each in self.troubles.of(kind)]

    def _failures_after(self, happened: Happened) -> list[float]:
        """Seconds from a trouble's begin to the dialling of each call that failed then, or soon after its end."""
        later = [each.began for each in self.troubles.all if each.began > happened.began]
        until = min([happened.ended + AFTERWARDS_SECONDS, *later])
        return [
            call.dialled - happened.began
            for call in self._ordinary
            if happened.began <= call.dialled < until
            and has_failed(call)
            and killed(call, self.outages_of(call)) is None
        ]

    def _set_up(self) -> Iterable[str]:
        """From dialling to ringing, without any trouble and in each kind that delays it."""
        calm = [call for call in self._ordinary if not any(self._near(each, call) for each in self.troubles.all)]
        yield f"H2         from dialling to ringing: calm {spread(set_ups(calm))}"
        for kind in (each for each in DELAYING if each in self.wanted.kinds):
            met = [
                call
                for call in self._ordinary
                if any(each.began <= call.dialled <= each.ended for each in self.troubles.of(kind))
            ]
            yield f"           {kind} {spread(set_ups(met))}"
        if self.moves:
            firsts, seconds = (self._of_moves(place) for place in range(2))
            yield (
                f"moves      seconds taken from a call in the other Asterisk: {spread(seconds)} to ringing, "
                f"without that {spread(firsts)}"
            )

    def _of_moves(self, place: int) -> list[float]:
        wanted = {pair[place] for pair in self.moves}
        return set_ups(call for call in self.seen if call.source in wanted)

    @staticmethod
    def _near(happened: Happened, call: Seen) -> bool:
        return happened.began - CALM_SECONDS <= call.dialled <= happened.ended + AFTERWARDS_SECONDS / 5

    def _h4(self) -> str:
        ringing = sum(
            call.answered is None and call.dialled < each.began < (call.ended or math.inf) and has_failed(call)
            for each in self.troubles.of(Kind.ASTERISK_KILLED)
            for call in self.seen
        )
        twice = sum(len(call.reached) > 1 for call in self.seen)
        return (
            f"H4         calls lost that rang in a killed Asterisk: {ringing}\n"
            f"twice      calls that rang the hidden telephone twice: {twice}\n"
            f"M6         leases settled {recovery.spread(self._settled_after)}; {self.stuck} not after "
            f"{STUCK_SECONDS:.0f} s"
        )

    def _money(self) -> str:
        untouched = [call for call in self.seen if killed(call, self.outages_of(call)) is None]
        charged = sum(entry.charged or 0 for call in untouched for entry in self.books.of(call.source))
        talked = sum(math.ceil(call.talked) for call in untouched if call.talked is not None)
        crowds = "; ".join(
            f"{each.size} calls at once on credit for one{', engine killed' if each.killed else ''}: "
            f"{each.bridged} bridged"
            for each in self.crowds
        )
        return (
            f"M3         {len(self.books.answered)} answered; without calls in a lost Asterisk {charged} s charged for "
            f"{talked} s talked; {len(self.mismatches)} mismatches\n"
            f"M1         {crowds or 'no crowd'}; overspent {self.overspent} s, longest overrun "
            f"{max((0.0, *self._overruns)) * 1000:.0f} ms"
        )

    def _rest(self) -> list[str]:
        lost = len(self.books.answered - self.delivered.keys())
        twice = sum(count > 1 for count in self.delivered.values())
        quiet = "not in time" if self.quiet_after is None else f"{self.quiet_after:.1f} s after the last call"
        return [
            f"callbacks  {len(self.books.answered)} due, {lost} lost, {twice} delivered more than once",
            f"unsure     {self.unsure} commands ended without knowing whether they were kept",
            f"settled    {quiet}; `ledger verify` found {len(self.audit)}",
        ]


def outages_of(call: Seen, books: Books, troubles: Troubles, names: Sequence[str]) -> list[Outage]:
    """When an Asterisk was gone that had the call then, as far as the database knows of it."""
    entries = books.of(call.source)
    return [
        outage
        for node in range(NODES)
        for outage in troubles.asterisk_outages(node)
        if any(entry.asterisk == names[node] and not _was_over(entry, outage) for entry in entries)
    ]


def _was_over(entry: Entry, outage: Outage) -> bool:
    """Whether an attempt at another node had failed before."""
    return entry.state == "VOIDED" and entry.ended is not None and entry.ended < outage.began


def has_failed(call: Seen) -> bool:
    """Whether a call failed through our fault."""
    return call.status in (503, None)


def set_ups(calls: Iterable[Seen]) -> list[float]:
    """Seconds from dialling to the first ringing."""
    return [min(call.reached) - call.dialled for call in calls if call.reached]


def spread(seconds: Sequence[float]) -> str:
    """Returns the median and the 99th percentile in milliseconds."""
    if not seconds:
        return "-"
    ordered = sorted(seconds)
    p50, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 for share in (0.5, 0.99))
    return f"{p50:.0f} ms (p50), {p99:.0f} ms (p99) of {len(ordered)}"
