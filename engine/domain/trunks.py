"""The trunks over which calls leave to hidden numbers and come in from carriers."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from engine.domain.numbers import ANONYMOUS, E164


class NumberFormat(StrEnum):
    """How a carrier writes numbers: `32475…`, `+32475…`, `0032475…`, or as they are dialled within its country."""

    E164 = "e164"
    PLUS = "plus"
    ZEROS = "00"
    NATIONAL = "national"


@dataclass(frozen=True, slots=True)
class Trunk:
    """What routing needs to know about a trunk.

    Attributes:
        name: The operator's name for it.
        number_format: How numbers are written to its carrier.
        country: The country (ISO 3166) in which its national numbers are valid; None if it sends none.
        max_calls: Calls that may leave over it at the same time; None for no limit.
    """

    name: str
    number_format: NumberFormat = NumberFormat.PLUS
    country: str | None = None
    max_calls: int | None = None


@dataclass(frozen=True, slots=True)
class TrunkRoute:
    """One way to a hidden number.

    Attributes:
        trunk: The trunk's name.
        destination: The hidden number, as the carrier writes it.
        shown: The caller's number that the carrier is given, as it writes it; empty for none.
    """

    trunk: str
    destination: str
    shown: str


def routes_to(destination: E164, shown: str, trunks: Sequence[Trunk]) -> tuple[TrunkRoute, ...]:
    """Returns the ways to a hidden number, in the order in which they are tried.

    Args:
        destination: The hidden number.
        shown: The caller's number as the destination may see it: E.164, as sent, or ANONYMOUS.
        trunks: The trunks, in the operator's order.
    """
    caller = "" if shown == ANONYMOUS else shown
    return tuple(TrunkRoute(trunk.name, destination, caller) for trunk in trunks)
