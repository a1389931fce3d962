"""Mutated reports for the reader of reports, and mutated streams of the manager interface for its protocol.

Neither may raise anything unexpected, take a report that no Asterisk of ours has made, or lose one that has come whole.
"""

import random
import re
from collections import Counter
from dataclasses import dataclass, field

import structlog

from engine.asterisk.ami_connection import AmiLimits, AmiProtocol
from engine.calls.reports import CALL_ID, AnswerReport, BadReport, ReportReader
from tests.fuzz.mutants import POISON
from tests.integration.fake_reports import TOKEN, answered, ended, user_event, with_mac

LIMITS = AmiLimits(max_message=8192, max_unsolicited=100_000)
LONGEST_CHUNK = 700
KIND = re.compile("answered|ended")
SEPARATORS = (
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"\0",
    b": ",
    b" ",
    b"\r\nReport: ",
    b"\r\nUserEvent: RentedNumbers\r\n",
)
OTHERS = (
    b"Event: FullyBooted\r\nPrivilege: system,all\r\nStatus: Fully Booted\r\n\r\n",
    b"Response: Success\r\nActionID: action/unknown/1/1\r\nMessage: late\r\n\r\n",
    b"Event: UserEvent\r\nUserEvent: Another\r\nReport: none of ours\r\n\r\n",
    b"\r\n\r\n",
)


@dataclass
class Outcome:
    """What came of the mutants.

    Attributes:
        counts: How many were refused, taken, or ended their connection.
        failures: What should not have happened.
    """

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def run(seed: int, count: int) -> Outcome:
    """Tries `count` lines and `count` streams. The same seed gives the same mutants."""
    outcome = Outcome()
    chance = random.Random(seed)
    with structlog.testing.capture_logs():
        for _ in range(count):
            _try_line(chance, outcome)
            _try_stream(chance, outcome)
    return outcome


def _good(chance: random.Random) -> str:
    number = chance.randrange(1000)
    if chance.random() < 0.5:
        return answered(f"rn0-1.{number}", f"bkg_{number:032x}", f"rn0-2.{number}", chance.randrange(4000))
    milliseconds = chance.choice(("", chance.randrange(-9999, 999_999)))
    return ended(f"rn0-1.{number}", f"bkg_{number:032x}", milliseconds, chance.choice(("ANSWER", "BUSY", "")))


def _mutated(chance: random.Random, raw: bytes) -> bytes:
    for _ in range(chance.choice((1, 1, 2, 6))):
        at = chance.randrange(len(raw) + 1)
        piece = chance.choice((chance.choice(POISON), chance.choice(SEPARATORS), chance.randbytes(2), raw[at:]))
        raw = raw[:at] + piece + raw[at + chance.choice((0, 0, 1, 5, 40)) :]
    return raw


def _try_line(chance: random.Random, outcome: Outcome) -> None:
    """A mutant with the MAC of what it was made from, or with a MAC of its own, as of an Asterisk that is mistaken."""
    line = _good(chance)
    if chance.random() < 0.5:
        text, _, mac = line.rpartition(" ")
        mutant = f"{_mutated(chance, text.encode()).decode('utf-8', 'replace')} {mac}"
    else:
        mutant = with_mac(_mutated(chance, line.rpartition(" ")[0].encode()).decode("utf-8", "replace"))
    try:
        report = ReportReader([TOKEN]).read(mutant)
    except BadReport:
        outcome.counts["lines refused"] += 1
        return
    except Exception as error:  # any is a failure
        outcome.failures.append(f"{mutant!r}: {type(error).__name__}: {error}")
        return
    outcome.counts["lines taken"] += 1
    channel = report.callee_channel if isinstance(report, AnswerReport) else report.call_id
    text, _, mac = mutant.rpartition(" ")
    is_sound = (
        KIND.match(mutant)
        and mutant == with_mac(text)
        and mutant.isprintable()
        and re.fullmatch(CALL_ID, report.call_id)
        and re.fullmatch(CALL_ID, channel)
    )
    if not is_sound:
        outcome.failures.append(f"taken: {mutant!r}")


class _Transport:
    aborted = False

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


class _Connection:
    def __init__(self) -> None:
        self.reports: list[str] = []

    def reported(self, report: str) -> None:
        self.reports.append(report)

    def handle_message(self, _message: object) -> None:
        pass


def _try_stream(chance: random.Random, outcome: Outcome) -> None:
    """Good events, mutants of them and other messages, in chunks of any size."""
    good = [_good(chance) for _ in range(chance.randrange(1, 6))]
    stream = b""
    for report in good:
        for _ in range(chance.randrange(3)):
            stream += chance.choice((*OTHERS, _mutated(chance, user_event(_good(chance)))))
            # A mutant may lack its end: the next event must not be joined with it.
            stream += b"\r\n\r\n"
        stream += user_event(report)
    connection, transport = _Connection(), _Transport()
    protocol = AmiProtocol(connection, LIMITS)  # type: ignore[arg-type]
    protocol.transport, protocol.responses = transport, {}
    protocol.factory = connection  # type: ignore[assignment]
    while stream and not transport.aborted:
        size = chance.randrange(1, LONGEST_CHUNK)
        chunk, stream = stream[:size], stream[size:]
        try:
            protocol.data_received(chunk)
        except Exception as error:  # any is a failure
            outcome.failures.append(f"{chunk!r}: {type(error).__name__}: {error}")
            return
    outcome.counts["streams aborted" if transport.aborted else "streams taken"] += 1
    if len(protocol._rest) > LIMITS.max_message:
        outcome.failures.append(f"{len(protocol._rest)} bytes are kept")
    remaining = iter(connection.reports)
    if not transport.aborted and not all(report in remaining for report in good):
        outcome.failures.append(f"of {good} came only {connection.reports}")
