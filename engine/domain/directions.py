"""The directions of a call over a rented number."""

from enum import StrEnum


class Direction(StrEnum):
    """The direction of a call.

    FORWARD: somebody calls the rented number and reaches the hidden number. REVERSE: the hidden number calls the rented
    number and reaches who called last. PAIR: one participant of a pair calls the rented number and reaches the other;
    both are hidden.
    """

    FORWARD = "forward"
    REVERSE = "reverse"
    PAIR = "pair"
