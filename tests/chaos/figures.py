"""What is reported of a run."""

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
    """So many called at once on credit for one call. `killed`: the engine was, meanwhile."""

    size: int
    killed: bool
    bridged: int
    answered: int


@dataclass(frozen=True)
class Report:
    """`quiet_after`: seconds from the last call's end until no lease was up, None if that took too long."""

    wanted: Wanted
    seconds: float
    seen: list[Seen]
    books: Books
    trouble: Trouble
    crowds: list[Crowd]
    quiet_after: float | None
    renewed: int
    told: Counter[str]
    stalls: list[Span]
    mismatches: list[Mismatch] = field(default_factory=list)

    @property
    def stuck(self) -> int:
        """Leases that outlived a killed Asterisk by a minute."""
        return sum(each > STUCK_SECONDS for each in recovery.settled_after(self.books, self.trouble.asterisk))

    @property
    def overruns(self) -> list[float]:
        """Seconds that answered calls talked past their leases, until they ended or Asterisk was killed; without those
        in which Asterisk answered nobody, having no processor time."""
        found = []
        for call in self.seen:
            over = killed(call, self.trouble.asterisk) or math.inf
            until = min(over, call.ended or math.inf)
            if call.answered is not None and call.answered < until < math.inf:
                limit = call.answered + sum(entry.leased for entry in self.books.of(call.source))
                still = [min(end, until) - max(began, limit) for began, end in self.stalls]
                found.append(until - limit - max(0.0, *still))
        return found

    @property
    def overspent(self) -> int:
        """Whole seconds that were talked and that no lease covered."""
        return sum(int(each) for each in self.overruns if each >= 1)

    @property
    def failures(self) -> list[str]:
        """Empty when all is as it must be."""
        found = [str(each) for each in self.mismatches]
        if self.quiet_after is None:
            found.append(f"leases were still up {self.wanted.quiet_seconds:.0f} s after the last call")
        if self.stuck:
            found.append(f"{self.stuck} leases were stuck for more than {STUCK_SECONDS:.0f} s")
        if self.overspent:
            found.append(f"{self.overspent} s were talked that no lease covered")
        found += [
            f"{crowd.bridged} of {crowd.size} calls were bridged on credit for one"
            for crowd in self.crowds
            if crowd.bridged > 1 or (crowd.bridged < 1 and not crowd.killed)
        ]
        if lost := self.books.answered - self.told.keys():
            found.append(f"{len(lost)} answered calls were told to nobody: {', '.join(sorted(lost)[:10])}")
        return found

    def lines(self) -> list[str]:
        """The figures, a line each."""
        return [self._calls(), self._money(), self._m1(), self._m3(), self._m6(), *self._rest()]

    def _calls(self) -> str:
        statuses = Counter(str(call.status or "none") for call in self.seen)
        counts = ", ".join(f"{count} of {status}" for status, count in sorted(statuses.items()))
        ours = sum(call.status in (503, None) for call in self.seen)
        return f"calls      {len(self.seen)} ({counts}); failed for our sake: {ours}"

    def _money(self) -> str:
        entries = [entry for entries in self.books.entries.values() for entry in entries]
        untouched = [call for call in self.seen if not killed(call, self.trouble.asterisk)]
        charged = sum(entry.charged or 0 for call in untouched for entry in self.books.of(call.source))
        talked = sum(math.ceil(call.talked) for call in untouched if call.talked is not None)
        lost = sum(entry.disposition == "LOST" for entry in entries)
        return (
            f"books      {len(entries)} leases, {len(self.books.answered)} answered, {lost} lost; without those in a "
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
            f"           books right    {recovery.spread(recovery.books_right(spans, outages))}"
        )

    def _m6(self) -> str:
        outages = self.trouble.asterisk
        alive = sum(call.answered is not None and killed(call, outages) is not None for call in self.seen)
        return (
            f"M6         {len(outages)} Asterisk kills, {alive} answered calls in them, "
            f"{self.stuck} leases stuck after {STUCK_SECONDS:.0f} s\n"
            f"           leases settled {recovery.spread(recovery.settled_after(self.books, outages))}"
        )

    def _rest(self) -> list[str]:
        quiet = "not in time" if self.quiet_after is None else f"{self.quiet_after:.1f} s after the last call"
        lost = len(self.books.answered - self.told.keys())
        twice = sum(count > 1 for count in self.told.values())
        still = self._standstills()
        return [
            f"callbacks  {len(self.books.answered)} due, {lost} lost, {twice} told more than once",
            f"quiet      {quiet}; the run took {self.seconds:.0f} s",
            f"machine    Asterisk left {len(still)} requests lie, the longest for {max((0.0, *still)):.2f} s",
        ]

    def _standstills(self) -> list[float]:
        outages = self.trouble.asterisk
        return [
            end - began
            for began, end in self.stalls
            if not any(each.began <= end and each.ended + PROMPT_SECONDS >= began for each in outages)
        ]
