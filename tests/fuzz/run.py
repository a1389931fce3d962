"""One run: mutants at a steady rate, good calls at the same time, and a check of what remains."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from phones.ports import free_port_range, give_back
from phones.sipp import Result
from tests.e2e.attacked_system import CALLS_FOR_EVER, AttackedSystem, Usage, attacked_system, numbers
from tests.fuzz.flood import Flood, flood

# Mutants dial a booked number or a free one. With booked numbers only, most mutants would ring, which another test
# covers.
BAITS = 4
NOBODYS = [f"+33199006{number:03}" for number in range(16)]
RTP_PORTS = 2000
WARM_UP = 200
GOOD_A_SECOND = 1.0
SECONDS_A_LINE = 30.0
LAST_CALLS_SECONDS = 120.0
# Connections to the manager interface and the console come and go.
FILES_MORE = 12

ShowProgress = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    seed: int
    count: int
    rate: float


@dataclass
class Report:
    wanted: Wanted
    flood: Flood
    good: Result
    asked: int
    decisions: Counter[str]
    before: dict[str, Usage]
    after: dict[str, Usage]
    failures: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The figures as text."""
        answers = ", ".join(f"{status or 'no SIP'}: {count}" for status, count in sorted(self.flood.answers.items()))
        decided = ", ".join(f"{decision}: {count}" for decision, count in sorted(self.decisions.items()))
        return [
            f"seed {self.wanted.seed}: {self.flood.sent} mutants at {self.flood.rate:.0f}/s",
            f"answers, repetitions included: {answers}",
            f"AGI requests: {self.asked} ({decided})",
            f"good calls at the same time: {self.good.succeeded}, failed: {self.good.failed}",
            *(_growth(name, self.before[name], self.after[name]) for name in self.before),
            *(f"FAILED: {failure}" for failure in self.failures),
        ]


def run(wanted: Wanted, show_progress: ShowProgress) -> Report:
    rtp = free_port_range(RTP_PORTS)
    try:
        return _run(wanted, show_progress, rtp)
    finally:
        give_back(rtp, RTP_PORTS)


def _run(wanted: Wanted, show_progress: ShowProgress, rtp: int) -> Report:
    with attacked_system(ring_timeout=10, rtp_start=rtp, rtp_end=rtp + RTP_PORTS - 1) as attacked:
        baits = [*(bait.service for bait in numbers(attacked.system, BAITS)), *NOBODYS]
        with attacked.good_calls(CALLS_FOR_EVER, GOOD_A_SECOND) as callers:
            flood(attacked.system.sip, baits, seed=wanted.seed - 1, count=WARM_UP, rate=wanted.rate)
            before = _usage(attacked)
            flooded = flood(
                attacked.system.sip,
                baits,
                seed=wanted.seed,
                count=wanted.count,
                rate=wanted.rate,
                progress=_Progress(attacked, show_progress).report,
            )
            callers.no_more_calls()
            outcome = callers.wait(LAST_CALLS_SECONDS)
            attacked.wait_quiet()
            after = _usage(attacked)
        asked = attacked.requests()
        decisions = Counter(_decision(each.variables) for each in asked)
        report = Report(wanted, flooded, outcome, len(asked), decisions, before, after)
        report.failures = _failures(attacked, report)
        return report


class _Progress:
    def __init__(self, attacked: AttackedSystem, show_progress: ShowProgress) -> None:
        self._siege, self._show_progress = attacked, show_progress
        self._next = SECONDS_A_LINE

    def report(self, flooded: Flood) -> None:
        if flooded.seconds >= self._next:
            self._next += SECONDS_A_LINE
            asterisk = Usage.of(self._siege.asterisk_pid)
            self._show_progress(f"{flooded.sent} mutants, {flooded.rate:.0f}/s, Asterisk: {asterisk}")


def _failures(attacked: AttackedSystem, report: Report) -> list[str]:
    failures = [f"an AGI request had the arguments {asked.arguments}" for asked in attacked.malformed_requests()]
    for name, after in report.after.items():
        if after.files > report.before[name].files + FILES_MORE:
            failures.append(f"{name} has {after.files} open files, and had {report.before[name].files} before")
    try:
        attacked.assert_unharmed(report.good)
    except AssertionError as error:
        failures.append(str(error))
    return failures


def _usage(attacked: AttackedSystem) -> dict[str, Usage]:
    return {"Asterisk": Usage.of(attacked.asterisk_pid), "engine": Usage.of(attacked.system.engine_pid)}


def _growth(name: str, before: Usage, after: Usage) -> str:
    return (
        f"{name}: memory {before.memory} kB → {after.memory} kB, files {before.files} → {after.files}, "
        f"threads {before.threads} → {after.threads}"
    )


def _decision(variables: dict[str, str]) -> str:
    verdict = variables.get("RN_VERDICT", "none")
    return f"reject {variables.get('RN_CAUSE')}" if verdict == "REJECT" else verdict.lower()
