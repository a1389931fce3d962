"""Probes of the answer: what can go wrong between the callee's 200 and the moment at which the two hear each other.

Each probe makes calls, and returns what was wrong; nothing if all was right. Some of them make the dialplan wait in the
middle of the answer, so that there is time for what otherwise falls into a few milliseconds.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.booking import Booking
from tests.e2e.calls import Caller, Outcome, lasted
from tests.e2e.system import System
from tests.e2e.test_ami_rights import session

SECONDS = 8
PLANS = {"LARGE": {"seconds": SECONDS, "calls": 25, "valid_for": 3600}}
# The steps of [rented-numbers-answered], each a whole line.
DENY = re.compile(r"^exten => s,1,Set\(GOSUB_RESULT=CONTINUE\)\n", re.MULTILINE)
READ = re.compile(r"^ same => n\(connect\),Set\(RN_SECONDS=\$\{FILTER\(0-9,(\$\{IMPORT\(.*?\)\})\)\}\)\n", re.MULTILINE)
LIMIT = re.compile(r"^ same => n,Set\(TIMEOUT\(absolute\)=\$\{RN_SECONDS\}\)\n", re.MULTILINE)
REPORT = re.compile(r"^ same => n,Set\(RN_REPORT=answered .*\n same => n,UserEvent\(.*\n", re.MULTILINE)
ALLOW = re.compile(r"^ same => n,Set\(GOSUB_RESULT=\)\n", re.MULTILINE)
HEAD = "\n[rented-numbers-answered]\n"

Change = Callable[[str], str]


class AnsweringSystem(System):
    """A system whose dialplan can be changed while it runs."""

    def __init__(self) -> None:
        super().__init__(longest_call=60, reconcile_interval=1, plans=PLANS)

    def alter(self, etc: Path) -> None:
        self._dialplan = etc / "extensions_rented_numbers.conf"
        self._ours = self._dialplan.read_text()

    @contextmanager
    def changed(self, *changes: Change) -> Iterator[None]:
        """Inside its `with`, the steps at the answer are changed."""
        before, head, after = self._ours.partition(HEAD)
        for change in changes:
            changed = change(after)
            assert changed != after
            after = changed
        try:
            self._load(before + head + after)
            yield
        finally:
            self._load(self._ours)

    def _load(self, dialplan: str) -> None:
        self._dialplan.write_text(dialplan)
        self.asterisk_console("dialplan reload")


def waiting_before(step: re.Pattern[str], seconds: float) -> Change:
    """A change: the dialplan waits before this step."""
    return lambda text: step.sub(lambda found: f" same => n,Wait({seconds})\n{found[0]}", text, count=1)


@dataclass(frozen=True)
class Probe:
    name: str
    run: Callable[[AnsweringSystem], list[str]]
    changes: tuple[Change, ...] = ()


def _ringing(booked: Booking) -> str:
    """Waits until a call of the booking rings, and returns the unique id of its caller's channel."""
    calls: list[str] = []

    def read(database: sqlite3.Connection) -> None:
        rows = database.execute("SELECT call_id FROM calls WHERE booking_id = ?", [booked.id])
        calls.extend(call for (call,) in rows)

    def rings() -> bool:
        # A program of the command line would take a part of the time in which it rings.
        booked.system.ask(read)
        return bool(calls)

    booked.system.until(rings, "it rings")
    return calls[0]


def _set_lease(booked: Booking, value: str) -> None:
    """Changes what the dialplan will read as the lease of the booking's ringing call."""
    call = _ringing(booked)
    with session(booked.system) as ami:
        assert "Success" in ami.ask("Setvar", Channel=call, Variable="RN_SECONDS", Value=value)


def _refused(booked: Booking, outcome: Outcome) -> list[str]:
    """What is wrong with a call that must not have been bridged."""
    wrong = [] if outcome.status == 480 else [f"the caller got {outcome.status}"]
    cost = [cdr["duration"] for cdr in booked.wait_settled()]
    return wrong + ([] if cost == [0] else [f"it cost {cost} s"])


def _callee_gone(system: AnsweringSystem) -> list[str]:
    booked, caller = system.book("LARGE"), Caller(system)
    with caller.hidden("uas_hangs_up", talk=300):
        return _refused(booked, caller.call(booked.service))


def _caller_gone(system: AnsweringSystem) -> list[str]:
    """The caller cancels between the callee's 200 and the bridge; the callee is hung up."""
    booked, caller = system.book("LARGE"), Caller(system)
    with caller.hidden(ring=100) as callee:
        with caller.dialling(booked.service, "uac_cancel", keys={"ring": 600}) as callers:
            cancelled = callers.wait().succeeded
        hung_up = callee.wait(10).succeeded
    cost = sum(cdr["duration"] for cdr in booked.wait_settled())
    return [] if (cancelled, hung_up, cost <= 1) == (1, 1, True) else [f"{cancelled} {hung_up}, it cost {cost} s"]


def _nothing_leased(system: AnsweringSystem) -> list[str]:
    wrong = []
    for value in ("0", "", "none"):
        booked, caller = system.book("LARGE"), Caller(system)
        # The callee hangs up by itself where nothing else does.
        with caller.hidden("uas_hangs_up", ring=3000, talk=1000), caller.dialling(booked.service) as callers:
            _set_lease(booked, value)
            callers.wait()
        wrong += _refused(booked, Outcome(callers.messages()))
    return wrong


def _odd_lease(system: AnsweringSystem) -> list[str]:
    """Without an engine, what the dialplan makes of the lease is all that limits the call."""
    wrong = []
    for value, seconds in (("2", 2), ("-1", 1), ("1 forged", 1)):
        booked, caller = system.book("LARGE"), Caller(system)
        with caller.hidden("uas_hangs_up", ring=3000, talk=4000), caller.dialling(booked.service) as callers:
            _set_lease(booked, value)
            system.kill_engine()
            callers.wait()
        system.start_engine()
        system.wait_ready()
        talked = Outcome(callers.messages()).talked
        cost = [cdr["duration"] for cdr in booked.wait_settled()]
        # The lease in the database does not cap what Asterisk talked a few milliseconds longer.
        if not lasted(talked, seconds) or cost not in ([seconds], [seconds + 1]):
            wrong.append(f"with {value!r} it talked {talked} s and cost {cost}")
    return wrong


def _lowered_at_the_answer(system: AnsweringSystem) -> list[str]:
    """A second call comes in while the first one's answer is under way: it has read its lease, or set its limit."""
    booked, caller = system.book("LARGE"), Caller(system)
    with caller.hidden(ring=100, calls=2) as callee, caller.dialling(booked.service) as first:
        system.until(lambda: any(m.method == "ACK" for m in callee.messages()), "the callee has answered")
        with caller.dialling(booked.service) as second:
            second.wait()
            first.wait()
    outcomes = [Outcome(each.messages()) for each in (first, second)]
    statuses, talked = [each.status for each in outcomes], [each.talked for each in outcomes]
    cost = [cdr["duration"] for cdr in booked.wait_settled(2)]
    # What the callee waits before the bridge counts, too.
    longest = max(each or 0 for each in talked)
    right = statuses == [200, 200] and lasted(longest, SECONDS / 2) and sum(cost) == SECONDS
    return [] if right else [f"statuses {statuses}, talked {talked}, cost {cost}"]


PROBES = (
    Probe("the callee hangs up before the bridge", _callee_gone, (waiting_before(ALLOW, 1.5),)),
    Probe("the caller hangs up before the bridge", _caller_gone, (waiting_before(ALLOW, 1.5),)),
    Probe("nothing is leased", _nothing_leased),
    Probe("the lease is no plain number", _odd_lease),
    Probe("another call comes in before the limit is set", _lowered_at_the_answer, (waiting_before(LIMIT, 0.7),)),
    Probe("another call comes in before the report", _lowered_at_the_answer, (waiting_before(REPORT, 0.7),)),
)
BY_NAME = {probe.name: probe for probe in PROBES}


def _in_other_order(text: str) -> str:
    [limit], [report] = LIMIT.findall(text), REPORT.findall(text)
    return text.replace(report, "").replace(limit, f"{report} same => n,Wait(0.7)\n{limit}")


# Changes that break a protection, each with the probe that must notice.
MUTANTS: dict[str, tuple[Change, tuple[Change, ...], str]] = {
    "bridged unless denied, callee gone": (
        lambda text: DENY.sub("exten => s,1,NoOp()\n", text, count=1),
        (waiting_before(ALLOW, 1.5),),
        "the callee hangs up before the bridge",
    ),
    "bridged unless denied, nothing leased": (
        lambda text: DENY.sub("exten => s,1,NoOp()\n", text, count=1),
        (),
        "nothing is leased",
    ),
    "lease not filtered": (
        lambda text: READ.sub(r" same => n(connect),Set(RN_SECONDS=\1)\n", text, count=1),
        (),
        "the lease is no plain number",
    ),
    "no limit": (lambda text: LIMIT.sub("", text, count=1), (), "the lease is no plain number"),
    "reported before the limit is set": (_in_other_order, (), "another call comes in before the report"),
}
