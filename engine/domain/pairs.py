"""Pairs: bookings whose two participants call the same rented number and reach each other, both hidden."""

from dataclasses import dataclass

from engine.domain.numbers import E164


@dataclass(frozen=True, slots=True)
class Participant:
    """One of the two people of a pair.

    Attributes:
        number: The hidden number.
        label: The customer's name for this person; empty if there is none.
    """

    number: E164
    label: str = ""


Participants = tuple[Participant, Participant]
