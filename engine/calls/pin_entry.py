"""PINs of callers who are no participants of any pair on a shared number: whether to ask, and how tries are counted.

A try is counted as a wrong one before the PIN is looked up, and taken back if it was right. So several engines together
cannot pass the limit. While a number takes no PINs, none is looked up there, not even a right one.
"""

from dataclasses import replace

from engine.calls.facts import IncomingCall
from engine.domain.numbers import is_simulated
from engine.domain.policy import Policy
from engine.domain.prompts import Prompt
from engine.domain.rejections import REJECTIONS, Reason, Reject
from engine.domain.routing import AskPin
from engine.domain.times import EpochMs
from engine.storage.transaction import Transaction


def counted(tx: Transaction, incoming: IncomingCall, now: EpochMs) -> IncomingCall:
    """Counts the call's PIN as a wrong one. Returns the call without it if the number takes no PINs now."""
    if incoming.pin is None or tx.pins.count_try(incoming.service, now):
        return incoming
    return replace(incoming, pin=None)


def answer(tx: Transaction, incoming: IncomingCall, now: EpochMs, policy: Policy) -> AskPin | Reject | None:
    """Returns the question for a PIN, for a call that no booking takes, or the refusal where the number takes none now.

    Without prompts nobody is asked: a caller who hears nothing keys in nothing.

    Args:
        tx: The transaction.
        incoming: The call, as `counted` returns it: with a PIN only if that was counted.
        now: Now.
        policy: The operator's choices.

    Returns:
        None if no caller is asked for a PIN on this number.
    """
    is_possible = policy.speaks and incoming.can_enter_pin
    if not is_possible or is_simulated(incoming.service) != (incoming.sandbox is not None):
        return None
    if not tx.pins.are_taken(incoming.service, incoming.sandbox):
        return None
    if tx.pins.are_closed(incoming.service, now):
        return replace(REJECTIONS[Reason.PINS_CLOSED], closed_pins=incoming.pin is not None)
    return AskPin(Prompt.PIN if incoming.pin is None else Prompt.PIN_WRONG)
