"""Pairs: bookings whose two participants call the same rented number and reach each other, both hidden."""

import re
from dataclasses import dataclass

from engine.domain.numbers import E164
from engine.domain.times import HOUR_MS

# How many decimal digits a PIN has. The dialplan and the prompts repeat this figure.
PIN_DIGITS = 8
# How many wrong PINs a rented number takes at once, and after how long it takes one more.
PIN_TRIES = 30
PIN_TRY_MS = HOUR_MS // 4
# How often a caller is asked for a PIN in one call. The dialplan counts.
PIN_QUESTIONS = 3
_PIN = re.compile(rf"[0-9]{{{PIN_DIGITS}}}")


@dataclass(frozen=True, slots=True)
class Participant:
    """One of the two people of a pair.

    Attributes:
        number: The hidden number.
        label: The customer's name for this person; empty if there is none.
        pin: With it, a caller from any telephone stands for this person; None for a pair without PINs.
    """

    number: E164
    label: str = ""
    pin: str | None = None


Participants = tuple[Participant, Participant]
"""The two people of a pair. Pairs that share a rented number are told apart by who calls."""


def is_pin(text: str) -> bool:
    """Returns whether a text has the form of a PIN."""
    return _PIN.fullmatch(text) is not None
