"""Calls with SIPp: a hidden number that behaves by a scenario, and a caller who dials a rented number."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from phones import messages
from phones.messages import Message
from phones.ports import Transport
from phones.sipp import Sipp
from tests.e2e.booking import Booking
from tests.e2e.system import System

SOURCE = "+33199007777"
# The scenario of a callee who answers some callers only.
ANSWERS_SOME = Path(__file__).parent / "scenarios" / "uas_answers_caller.xml"
# They get messages during a pause: Asterisk sends 180 when it dials, and again when the callee rings.
LENIENT = frozenset({"uac_cancel", "uac_repeats_invite"})


# A busy machine may cut a call late (figures: test_call_limit.py). A call that is cut early loses paid time, by whole
# seconds; but a telephone that had to wait for the processor notes its ACK late, so that the call seems shorter.
EARLY_SECONDS, LATE_SECONDS = 0.5, 2.0
# Asterisk's clock may differ from the caller's by this much.
MOMENT_SECONDS = 0.2
# What must be heard of a voice. While a machine stands still, no telephone sends any.
HEARD_SECONDS = 0.6
# How long the hidden number's side of a call may last after the end of the test.
LAST_WORDS_SECONDS = 5.0


def lasted(talked: float | None, seconds: float) -> bool:
    """Whether a call lasted as long as it should."""
    return talked is not None and -EARLY_SECONDS <= talked - seconds <= LATE_SECONDS


def is_charged(seconds: int, talked: float | None) -> bool:
    """Whether an answered call costs each second that has begun by its caller's clock, and at least one."""
    if talked is None:
        return False
    return max(1, math.ceil(talked - MOMENT_SECONDS)) <= seconds <= math.ceil(talked + MOMENT_SECONDS)


def are_charged(records: Sequence[Mapping[str, Any]], talked: Iterable[float | None]) -> bool:
    """Whether the records of several calls, in any order, have what these calls cost by their callers' clocks."""
    durations = sorted(int(record["duration"]) for record in records)
    clocks = sorted(each for each in talked if each is not None)
    return len(durations) == len(clocks) and all(map(is_charged, durations, clocks))


class Caller:
    """The telephone network behind the trunk, and a caller."""

    def __init__(self, system: System) -> None:
        self.system = system

    @contextmanager
    def hidden(self, scenario: str | Path = "uas_answer", *, calls: int = 1, **keys: int | str) -> Iterator[Sipp]:
        """The hidden number's side of the trunk.

        It waits at the end until its own calls have ended. A BYE that finds no listener is sent again, and would reach
        the next telephone on this port as its first and last call.
        """
        with Sipp(scenario, port=self.system.trunk_port, calls=calls, keys=keys, timeout=120) as sipp:
            yield sipp
            sipp.finish(LAST_WORDS_SECONDS)

    @contextmanager
    def dialling(
        self,
        service: str,
        scenario: str = "uac_waits_for_bye",
        *,
        calls: int = 1,
        transport: Transport = "udp",
        keys: Mapping[str, int | str] | None = None,
    ) -> Iterator[Sipp]:
        """A caller who has dialled the number."""
        with Sipp(
            scenario,
            target=self.system.sip,
            number=service,
            calls=calls,
            rate=100,
            transport=transport,
            keys={"source": SOURCE, **(keys or {})},
            lenient=scenario in LENIENT,
            timeout=120,
        ) as sipp:
            yield sipp

    def call(
        self,
        service: str,
        scenario: str = "uac_waits_for_bye",
        *,
        transport: Transport = "udp",
        **keys: int | str,
    ) -> "Outcome":
        """Makes one call and waits for its end."""
        with self.dialling(service, scenario, transport=transport, keys=keys) as sipp:
            sipp.wait()
            return Outcome(sipp.messages())

    def talk(self, booked: Booking, milliseconds: int) -> tuple["Outcome", dict[str, Any]]:
        """Makes the booking's first call, which its caller ends. Returns it with its record, which has to fit."""
        with self.hidden():
            outcome = self.call(booked.service, "uac_hangs_up", talk=milliseconds)
        assert outcome.status == 200
        [cdr] = booked.wait_settled()
        assert is_charged(cdr["duration"], outcome.talked)
        assert (cdr["source"], cdr["destination"], cdr["disposition"]) == (SOURCE, booked.destination, "ANSWERED")
        return outcome, cdr


class Outcome:
    """One call, as its caller saw it."""

    def __init__(self, trace: list[Message]) -> None:
        self.messages = trace

    @property
    def status(self) -> int | None:
        """The final SIP status of the INVITE."""
        return messages.final_status(self.messages)

    @property
    def talked(self) -> float | None:
        """Seconds between ACK and BYE."""
        return messages.talk_time(self.messages)

    @property
    def waited(self) -> float:
        """Seconds between INVITE and its final answer."""
        invite = next(message for message in self.messages if message.method == "INVITE")
        final = next(m for m in self.messages if m.method == "INVITE" and m.status is not None and m.status >= 200)
        return final.at - invite.at


def wait_talking(system: System, callers: Sipp, calls: int = 1) -> None:
    """Waits until this number of calls is answered. Fails at once if one is refused, because refusals have ACKs too."""

    def are_up() -> bool:
        traces = messages.by_call(callers.messages()).values()
        refused = [status for trace in traces if (status := messages.final_status(trace)) not in {None, 200}]
        assert not refused, f"refused with {refused}\n{system.engine_log[-3000:]}\n{system.asterisk_log[-3000:]}"
        return sum(any(message.method == "ACK" for message in trace) for trace in traces) >= calls

    system.until(are_up, f"{calls} calls are up")


def assert_destination_hidden(trace: list[Message], booked: Booking) -> None:
    """Asserts that nothing that the caller received shows the hidden number.

    It searches for the last six digits: shorter runs occur by chance in tags and ports.
    """
    received = [message.text for message in trace if message.direction == "received"]
    assert received, "the caller received no message, so the search proves nothing"
    tail = booked.destination[-6:]
    assert not [text for text in received if tail in text]
