"""What tests do with SIPp: a hidden number that behaves in some way, and a caller who dials a rented one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from phones import messages
from phones.messages import Message
from phones.ports import Transport
from phones.sipp import Sipp
from tests.e2e.booked import Booked
from tests.e2e.system import System

SOURCE = "+33199007777"
# They are told things while they pause or send: Asterisk says 180 when it dials and again when the callee rings.
LENIENT = frozenset({"uac_cancel", "uac_repeats_invite"})


# A limit can be reached late by as much as the machine is behind with its work, which is nobody's fault here (figures:
# test_overrun.py); early would take time that was paid for.
EARLY_SECONDS, LATE_SECONDS = 0.15, 1.0
# How long the hidden number's side of a call may last after the test is through with it.
LAST_WORDS_SECONDS = 5.0


def lasted(talked: float | None, seconds: float) -> bool:
    """Whether a call was as long as it should be."""
    return talked is not None and -EARLY_SECONDS <= talked - seconds <= LATE_SECONDS


class Caller:
    """Plays both the telephone network and a caller of it."""

    def __init__(self, system: System) -> None:
        self.system = system

    @contextmanager
    def hidden(self, scenario: str | Path = "uas_answer", *, calls: int = 1, **keys: int | str) -> Iterator[Sipp]:
        """The hidden number's side of the trunk.

        Its calls come to their ends there, also where the caller's have already: a BYE that finds nobody is sent again,
        to the next one who listens on this port, and is that one's first and last call.
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
        """A caller who has dialled."""
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
        """One call from dialling to its end."""
        with self.dialling(service, scenario, transport=transport, keys=keys) as sipp:
            sipp.wait()
            return Outcome(sipp.messages())


class Outcome:
    """What a caller saw of one call."""

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
    """Until so many calls are up. Fails at once over one that is refused: an ACK alone follows a refusal, too."""

    def are_up() -> bool:
        traces = messages.by_call(callers.messages()).values()
        refused = [status for trace in traces if (status := messages.final_status(trace)) not in {None, 200}]
        assert not refused, f"refused with {refused}\n{system.engine_log[-3000:]}\n{system.asterisk_log[-3000:]}"
        return sum(any(message.method == "ACK" for message in trace) for trace in traces) >= calls

    system.until(are_up, f"{calls} calls are up")


def assert_nothing_shown(trace: list[Message], booked: Booked) -> None:
    """No digit string of the hidden number in anything that the caller received.

    The last six digits are searched: shorter ones happen by chance in tags and ports.
    """
    received = [message.text for message in trace if message.direction == "received"]
    assert received, "the caller received nothing at all: there is nothing to judge"
    tail = booked.destination[-6:]
    assert not [text for text in received if tail in text]
