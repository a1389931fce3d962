"""Whether a call can be a reverse call at all."""

from engine.domain.errors import ReverseUnavailable
from engine.domain.numbers import E164, is_simulated
from engine.domain.policy import Policy


def check_can_be_reverse(service: E164, policy: Policy) -> None:
    """Refuses what no call could ever be. A sandbox simulates the carrier, so there it always works.

    Args:
        service: The booking's number.
        policy: The operator's choices.

    Raises:
        ReverseUnavailable: No carrier asserts who calls.
    """
    if not policy.may_assert_callers and not is_simulated(service):
        raise ReverseUnavailable("reverse needs a carrier that asserts who calls, and this installation has none")
