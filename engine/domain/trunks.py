"""The trunks over which calls leave to hidden numbers and come in from carriers."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.domain.number_plan import INTERNATIONAL, NumberFormat, NumberPlan
from engine.domain.numbers import ANONYMOUS, E164, is_e164

# Asterisk's name of the endpoint by which a carrier's calls come in, before the trunk's name.
CARRIER_PREFIX = "carrier-"


@dataclass(frozen=True, slots=True)
class Trunk:
    """What routing needs to know about a trunk.

    Attributes:
        name: The operator's name for it.
        number_format: How numbers are written to its carrier.
        country: The country (ISO 3166) in which its national numbers are valid; None if it sends none.
        max_calls: Calls that may leave over it at the same time; None for no limit.
        asserts_identity: Whether its P-Asserted-Identity is the carrier's own word on who calls.
    """

    name: str
    number_format: NumberFormat = NumberFormat.PLUS
    country: str | None = None
    max_calls: int | None = None
    asserts_identity: bool = False

    @property
    def plan(self) -> NumberPlan:
        """How its carrier writes numbers."""
        return NumberPlan(self.number_format, self.country)


@dataclass(frozen=True, slots=True)
class TrunkRoute:
    """One way to a hidden number.

    Attributes:
        trunk: The trunk's name.
        destination: The hidden number, as the carrier writes it.
        shown: The caller's number that the carrier is given, as it writes it; empty for none.
        max_calls: Calls that may leave over the trunk at the same time; None for no limit.
    """

    trunk: str
    destination: str
    shown: str
    max_calls: int | None = None


def routes_to(destination: E164, shown: str, trunks: Sequence[Trunk]) -> tuple[TrunkRoute, ...]:
    """Returns the ways to a hidden number, in the order in which they are tried.

    Args:
        destination: The hidden number.
        shown: The caller's number as the destination may see it: E.164, as sent, or ANONYMOUS.
        trunks: The trunks, in the operator's order.
    """
    caller = "" if shown == ANONYMOUS else shown
    return tuple(
        TrunkRoute(
            trunk.name,
            trunk.plan.write(destination),
            trunk.plan.write(E164(caller)) if is_e164(caller) else caller,
            trunk.max_calls,
        )
        for trunk in trunks
    )


def trunk_of_endpoint(endpoint: str, trunks: Sequence[Trunk]) -> Trunk | None:
    """Returns the trunk whose carrier calls by one of Asterisk's endpoints.

    None for softphones, and for carriers that an Asterisk has under a name of its own: they write international
    numbers.
    """
    name = endpoint.removeprefix(CARRIER_PREFIX)
    return next((trunk for trunk in trunks if trunk.name == name and endpoint.startswith(CARRIER_PREFIX)), None)


def typed_plan(trunks: Sequence[Trunk]) -> NumberPlan:
    """Returns how customers write numbers: within the carriers' country, too, if all of them are of one."""
    countries = {trunk.country for trunk in trunks if trunk.country is not None}
    return NumberPlan(country=countries.pop()) if len(countries) == 1 else INTERNATIONAL
