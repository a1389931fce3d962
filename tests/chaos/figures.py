"""The report of a run."""

import math
from collections import Counter
from dataclasses import dataclass, field

from tests.chaos import recovery
from tests.chaos.books import Books
from tests.chaos.judge import Mismatch, killed
from tests.chaos.plan import Wanted
from tests.chaos.seen import PROMPT_SECONDS, Seen, Span
from tests.chaos.trouble import Trouble

STUCK_SECONDS = 60.0


@dataclass(frozen=True)
class Crowd:
    """Many calls at once on credit for one call. `killed`: whether the engine was killed during them."""

    size: int
    killed: bool
    bridged: int
    answered: int


@dataclass(frozen=True)
class Report:
    """The result of a run.

    Attributes:
        quiet_after: Seconds from the end of the last call until every lease was settled; None if that took too long.
        delivered: How often each callback of an answered call arrived, by the call record's id.
    """

    wanted: Wanted
    seconds: float
    seen: list[Seen]
    books: Books
    trouble: Trouble
    crowds: list[Crowd]
    quiet_after: float | None
    renewed: int
    delivered: Counter[str]
    stalls: list[Span]
    mismatches: list[Mismatch] = field(default_factory=list)

    @property
    def stuck(self) -> int:
        """The number of leases that were open a minute after their Asterisk was killed."""
        return sum(each > STUCK_SECONDS for each in recovery.settled_after(self.books, self.trouble.asterisk))

    @property
    def overruns(self) -> list[float]:
        """Seconds that answered calls talked past their leases, until they ended or Asterisk was killed.

        Times in which Asterisk had no CPU and answered no request do not count.
        """
        return recovery.overruns(self.seen, self.books, lambda _: self.trouble.asterisk, self.stalls)

    @property
    def overspent(self) -> int:
        """Whole talked seconds that no lease covered."""
        return sum(int(each) for each in self.overruns if each >= 1)

    @property
    def failures(self) -> list[str]:
        """What is wrong; empty if nothing is."""
        found = [str(each) for each in self.mismatches]
        if self.quiet_after is None:
            found.append(f"leases were not settled {self.wanted.quiet_seconds:.0f} s after the last call")
        if self.stuck:
            found.append(f"{self.stuck} leases were not settled for more than {STUCK_SECONDS:.0f} s")
        if self.overspent:
            found.append(f"no lease covered {self.overspent} s of talk")
        found += [
            f"{crowd.bridged} of {crowd.size} calls were bridged on credit for one"
            for crowd in self.crowds
            if crowd.bridged > 1 or (crowd.bridged < 1 and not crowd.killed)
        ]
        if lost := self.books.answered - self.delivered.keys():
            found.append(f"{len(lost)} answered calls had no callback: {', '.join(sorted(lost)[:10])}")
        return found

    def lines(self) -> list[str]:
        """The figures as text."""
        return [self._calls(), self._money(), self._m1(), self._m3(), self._m6(), *self._rest()]

    def _calls(self) -> str:
        statuses = Counter(str(call.status or "none") for call in self.seen)
        counts = ", ".join(f"{count} of {status}" for status, count in sorted(statuses.items()))
        ours = sum(call.status in (503, None) for call in self.seen)
        return f"calls      {len(self.seen)} ({counts}); failed because of the kills: {ours}"

    def _money(self) -> str:
        entries = [entry for entries in self.books.entries.values() for entry in entries]
        untouched = [call for call in self.seen if not killed(call, self.trouble.asterisk)]
        charged = sum(entry.charged or 0 for call in untouched for entry in self.books.of(call.source))
        talked = sum(math.ceil(call.talked) for call in untouched if call.talked is not None)
        lost = sum(entry.disposition == "LOST" for entry in entries)
        return (
            f"database   {len(entries)} leases, {len(self.books.answered)} answered, {lost} lost; without calls in a "
            f"killed Asterisk {charged} s charged for {talked} s talked; {self.renewed} renewals"
        )

    def _m1(self) -> str:
        crowds = (
            f"{each.size} calls at once on credit for one{', engine killed' if each.killed else ''}: "
            f"{each.bridged} bridged, {each.answered} answered"
            for each in self.crowds
        )
        longest = max((0.0, *self.overruns))
        return f"M1         {'; '.join(crowds)}; overspent {self.overspent} s, longest overrun {longest * 1000:.0f} ms"

    def _m3(self) -> str:
        spans = recovery.wrong_spans(self.seen, self.books, self.trouble.asterisk)
        outages = self.trouble.engine
        return (
            f"M3         {len(outages)} engine kills, {len(self.mismatches)} mismatches\n"
            f"           bridging again {recovery.spread(recovery.bridged_again(self.seen, outages))}\n"
            f"           leases right   {recovery.spread(recovery.books_right(spans, outages))}"
        )

    def _m6(self) -> str:
        outages = self.trouble.asterisk
        alive = sum(call.answered is not None and killed(call, outages) is not None for call in self.seen)
        return (
            f"M6         {len(outages)} Asterisk kills, {alive} answered calls in them, "
            f"{self.stuck} leases not settled after {STUCK_SECONDS:.0f} s\n"
            f"           leases settled {recovery.spread(recovery.settled_after(self.books, outages))}"
        )

    def _rest(self) -> list[str]:
        quiet = "not in time" if self.quiet_after is None else f"{self.quiet_after:.1f} s after the last call"
        lost = len(self.books.answered - self.delivered.keys())
        twice = sum(count > 1 for count in self.delivered.values())
        still = self._standstills()
        return [
            f"callbacks  {len(self.books.answered)} due, {lost} lost, {twice} delivered more than once",
            f"settled    {quiet}; the run took {self.seconds:.0f} s",
            f"machine    Asterisk answered {len(still)} requests late, the latest after {max((0.0, *still)):.2f} s",
        ]

    def _standstills(self) -> list[float]:
        outages = self.trouble.asterisk
        return [
            end - began
            for began, end in self.stalls
            if not any(each.began <= end and each.ended + PROMPT_SECONDS >= began for each in outages)
        ]
