"""One upgrade, from the first booking to the verdict: the database and the telephones must agree on every call."""

import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from phones.listener import CallbackListener
from phones.messages import Message
from phones.sipp import Sipp
from tests.chaos import books, judge, load, plan, seen
from tests.chaos.run import AMPLE, LAST_CALLS_SECONDS, LONGEST_CALL_SECONDS, PLANS, SCARCE
from tests.chaos.trouble import Outage
from tests.e2e.booking import Booking
from tests.upgrade.system import UpgradedSystem, unpack

# So many calls are up before the upgrade begins, and so many are dialled after Asterisk's files were renewed.
BEFORE_SECONDS, LAST_CALLS = 8, 20


@dataclass(frozen=True)
class Report:
    """What came of an upgrade.

    Attributes:
        said: What the upgrade said.
        outage: From the end of the old engine until the new one was ready.
        calls: What the telephones saw.
        late: Calls that waited for their callback in vain.
        mismatches: Where the database and the telephones disagree.
    """

    said: list[str]
    outage: Outage
    calls: list[seen.Seen]
    late: int
    mismatches: list[judge.Mismatch]

    @property
    def up(self) -> int:
        """How many calls talked when the old engine ended."""
        began = self.outage.began
        return sum(each.answered is not None and each.answered < began < (each.ended or began) for each in self.calls)

    def lines(self) -> list[str]:
        statuses = Counter(str(each.status) for each in self.calls)
        refused = [each for each in self.calls if each.status == 503]
        inside = sum(self.outage.began <= each.dialled <= self.outage.ended for each in refused)
        return [
            *self.said,
            f"no engine for {self.outage.ended - self.outage.began:.1f} s, with {self.up} calls up",
            f"{len(self.calls)} calls; answers: {dict(sorted(statuses.items()))}; {inside} of the 503 meanwhile",
            f"callbacks that did not arrive: {self.late}",
        ]

    @property
    def failures(self) -> list[str]:
        found = [str(each) for each in self.mismatches]
        if not self.up:
            found.append("no call was up during the upgrade")
        if self.late:
            found.append(f"{self.late} answered calls without a callback")
        return found


def run(revision: str, rate: float, seconds: float, seed: int) -> Report:
    """Runs the upgrade from a revision at `rate` calls a second, for `seconds` after it."""
    with ExitStack() as cleanup:
        directory = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="upgrade-")))
        unpack(revision, directory / "older")
        listener = cleanup.enter_context(CallbackListener())
        system = UpgradedSystem(
            directory / "older", plans=PLANS, longest_call=LONGEST_CALL_SECONDS, callback_retries=[1] * 20
        )
        cleanup.enter_context(system)
        hidden = cleanup.enter_context(load.callees(system.trunk_port, directory / "callees"))
        ample = [system.book("LARGE", listener.url) for _ in range(AMPLE)]
        scarce = [system.book("SMALL", listener.url) for _ in range(SCARCE)]
        planned = plan.calls(seed, [each.service for each in ample], [each.service for each in scarce])
        count = int((BEFORE_SECONDS + seconds) * rate)
        lines = list(islice(planned, count + LAST_CALLS))
        outage, said, heard = _upgrade(system, lines[:count], rate, directory)
        system.renew_asterisk()
        heard += _dial(load.callers(system.sip, lines[count:], rate, directory / "last"))
        system.until(lambda: system.ask(books.leases_up) == 0, "all calls are settled")
        system.until(lambda: system.ask(books.callbacks_pending) == 0, "all callbacks are delivered")
        return _judged(system, lines, ample, said, outage, heard, hidden, listener)


def _upgrade(
    system: UpgradedSystem, lines: list[plan.PlannedCall], rate: float, directory: Path
) -> tuple[Outage, list[str], list[Message]]:
    with load.callers(system.sip, lines, rate, directory / "callers") as callers:
        wanted = int(BEFORE_SECONDS * rate)
        system.until(lambda: len({each.call_id for each in callers.messages()}) >= wanted, "calls are up")
        outage, said = system.upgrade()
        callers.wait(len(lines) / rate + LAST_CALLS_SECONDS)
    return outage, said, callers.messages()


def _dial(callers: Sipp) -> list[Message]:
    with callers:
        callers.wait(LAST_CALLS_SECONDS)
    return callers.messages()


def _judged(
    system: UpgradedSystem,
    lines: list[plan.PlannedCall],
    ample: list[Booking],
    said: list[str],
    outage: Outage,
    heard: list[Message],
    hidden: Sipp,
    listener: CallbackListener,
) -> Report:
    plenty = {each.service for each in ample}
    expected = {
        line.source: min(line.talk / 1000, LONGEST_CALL_SECONDS)
        for line in lines
        if line.service in plenty and line.talk is not None
    }
    written = system.ask(books.read)
    rang = hidden.messages()
    calls = seen.calls(heard, rang)
    delivered = {str(each.content.get("id")) for each in listener.received()}
    found = judge.mismatches(calls, written, lambda _: [], expected)
    return Report(said, outage, calls, len(written.answered - delivered), found)
