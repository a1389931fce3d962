"""Sends mutated INVITEs at a steady rate, and answers as a careless caller would."""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.e2e.sip_sockets import STATUS, SipSocket, ack_of
from tests.fuzz.mutants import Template, mutant

# One of this many refusals gets no ACK: Asterisk repeats it for half a minute.
UNACKNOWLEDGED = 20


@dataclass
class Flood:
    """The result. `answers` counts the received statuses, repetitions included; status 0 means no SIP message."""

    sent: int = 0
    seconds: float = 0.0
    answers: Counter[int] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        return self.sent / self.seconds if self.seconds else 0.0


def flood(
    target: str,
    services: list[str],
    *,
    seed: int,
    count: int,
    rate: float,
    progress: Callable[[Flood], None] = lambda _flood: None,
) -> Flood:
    """Sends `count` mutants to `target` (host:port), `rate` a second. They dial `services` in turn."""
    result = Flood()
    chance = random.Random(seed)
    with SipSocket(target) as wire:
        began = time.monotonic()
        for serial in range(count):
            while (early := began + serial / rate - time.monotonic()) > 0:
                _drain(wire, result, chance)
                # In small bursts: the relay between Asterisk and the engine runs in this process too.
                time.sleep(max(early, 0.02))
            template = Template(services[serial % len(services)], target, wire.peer)
            wire.send(mutant(seed, serial, template))
            result.sent += 1
            if serial % 64 == 0:
                _drain(wire, result, chance)
                result.seconds = time.monotonic() - began
                progress(result)
        result.seconds = time.monotonic() - began
        _linger(wire, result, chance)
    return result


def _linger(wire: SipSocket, result: Flood, chance: random.Random, seconds: float = 2.0) -> None:
    """Goes on answering for a moment, because the last answers are still under way."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        _drain(wire, result, chance)
        time.sleep(0.01)


def _drain(wire: SipSocket, result: Flood, chance: random.Random) -> None:
    for answer in wire.take():
        status = STATUS.match(answer)
        result.answers[int(status[1]) if status else 0] += 1
        if (ack := ack_of(answer)) and chance.randrange(UNACKNOWLEDGED):
            wire.send(ack)
