"""Whether anything can be known of who calls, which reverse calls and pairs need."""

from engine.domain.errors import ReverseUnavailable
from engine.domain.numbers import E164, is_simulated
from engine.domain.policy import Policy


def check_callers_are_asserted(service: E164, policy: Policy, field: str | None = None) -> None:
    """Refuses what no call could ever be: a reverse call, or one of a pair.

    A sandbox simulates the carrier, so there it always works.

    Args:
        service: The booking's number.
        policy: The operator's choices.
        field: The field of the request that needs it; None: `reverse`.

    Raises:
        ReverseUnavailable: No carrier asserts who calls.
    """
    if not policy.may_assert_callers and not is_simulated(service):
        raise ReverseUnavailable("this needs a carrier that asserts who calls, and this installation has none", field)
