"""Simulated calls in a sandbox: an account of its own, with simulated numbers and a clock that can be set forward.

Everything else is real: bookings, rules, call records, and callbacks that are delivered. A simulated call runs through
the functions of a real call within one transaction, so it never shows up among live calls.
"""

from dataclasses import dataclass, replace

from engine.accounts.stored_data import check_stored
from engine.calls.facts import IncomingCall
from engine.calls.lifecycle import call_ended, note_answer, route_call
from engine.calls.reached_callers import note_reached
from engine.calls.reports import AnswerReport, EndReport
from engine.domain.booking import Booking, BookingStatus, status_at
from engine.domain.directions import Direction
from engine.domain.errors import InvariantBroken
from engine.domain.ids import AccountId, CallId
from engine.domain.metering import talk_limit_ms
from engine.domain.numbers import E164, is_e164
from engine.domain.pairs import PIN_QUESTIONS
from engine.domain.policy import Policy
from engine.domain.prompts import Prompt
from engine.domain.rejections import REJECTIONS, Reason, Reject
from engine.domain.routing import AskPin, Bridge, Preparation
from engine.domain.simulation import CUT_AT_LIMIT, REPORTED, Outcome, SimulatedCall, lasts_ms, prompts_heard, sip_status
from engine.domain.times import BootMs, EpochMs, Timestamp
from engine.runtime.ids import new_id
from engine.sandbox.clock import move_ahead, sandbox_with_id, sweep_sandbox
from engine.storage.cdrs import Cdr
from engine.storage.sandboxes import Sandbox
from engine.storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Simulation:
    """The result of a simulated call.

    Attributes:
        reason: Why the call was put through or refused.
        sip_status: The final SIP status that a real caller would get.
        prompts: What a real caller would hear from us before that.
        record: The call record. None: no booking holds the number, so nothing is recorded.
        booking: The booking after the call. None: no booking holds the number.
        now: When the call was over, by the sandbox's clock.
    """

    reason: Reason
    sip_status: int
    prompts: tuple[Prompt, ...]
    record: Cdr | None
    booking: Booking | None
    now: EpochMs

    @property
    def put_through(self) -> bool:
        """Whether the call reached the destination."""
        return self.reason is Reason.PUT_THROUGH


def simulate_call(
    tx: Transaction, account_id: AccountId, call: SimulatedCall, at: Timestamp, policy: Policy
) -> Simulation:
    """Simulates a call from the caller's INVITE to its end, and sets the sandbox's clock forward by its duration.

    Args:
        tx: The transaction.
        account_id: The sandbox's account.
        call: What the customer wants to simulate.
        at: When the call comes in, by the machine's clock.
        policy: The operator's rules.

    Raises:
        TooMuchStored: The sandbox has stored as much as it may.
        ClockTooFar: The clock of the sandbox cannot be set forward by the call's duration.
    """
    asserted = E164(call.source) if call.direction is not Direction.FORWARD and is_e164(call.source) else None
    # First the booking, then the account, as all commands: what they store is added to the account's row.
    tx.call_path.lock_called(call.service, asserted, call.pins[:PIN_QUESTIONS])
    sandbox = sandbox_with_id(tx, account_id)
    check_stored(tx, account_id, policy.account_limits)
    began = sandbox.timestamp(at)
    call_id = CallId(new_id("sim"))
    incoming = IncomingCall(call_id, call.service, call.source, account_id, asserted=asserted, can_enter_pin=True)
    asked_with, decision = _decided(tx, incoming, call, began, policy)
    if isinstance(decision, Bridge):
        call = call.screened(decision.booking.screening) if decision.rings_hidden_number else call
        sandbox = _ring_and_talk(tx, sandbox, call_id, call, decision, began, policy)
    now = sandbox.now(at.wall_ms)
    sweep_sandbox(tx, sandbox, now, policy)
    booking_id = decision.booking.id if isinstance(decision, Bridge) else decision.booking_id
    booking = tx.bookings.by_id(booking_id) if booking_id else None
    return Simulation(
        reason=_reason(decision),
        sip_status=sip_status(decision, call.outcome),
        prompts=(*asked_with, *prompts_heard(decision, policy)),
        record=tx.sandboxes.record_of(call_id),
        booking=None if booking is None or status_at(booking, now, policy) is BookingStatus.GONE else booking,
        now=now,
    )


def _decided(
    tx: Transaction, incoming: IncomingCall, call: SimulatedCall, began: Timestamp, policy: Policy
) -> tuple[list[Prompt], Bridge | Reject]:
    """Returns the prompts with which the caller is asked for a PIN, and the decision after that.

    Raises:
        InvariantBroken: A ringing call would have to give way, and a sandbox has none.
    """
    prompts: list[Prompt] = []
    for pin in (*call.pins[:PIN_QUESTIONS], None):
        decision = route_call(tx, incoming, began, policy, room_was_made=True)
        if isinstance(decision, Preparation):
            raise InvariantBroken("a sandbox has no live calls that could make room")
        if not isinstance(decision, AskPin):
            return prompts, decision
        if len(prompts) < PIN_QUESTIONS:
            prompts.append(decision.prompt)
        incoming = replace(incoming, pin=pin)
    return prompts, REJECTIONS[Reason.PIN_NEEDED]


def _reason(decision: Bridge | Reject) -> Reason:
    """Returns why a call was put through or refused."""
    if isinstance(decision, Bridge):
        return Reason.PUT_THROUGH
    return decision.reason or Reason.NO_BOOKING


def _ring_and_talk(
    tx: Transaction,
    sandbox: Sandbox,
    call_id: CallId,
    call: SimulatedCall,
    decision: Bridge,
    began: Timestamp,
    policy: Policy,
) -> Sandbox:
    """Carries out the part after routing. Returns the sandbox with its clock set forward."""
    booking, talked_ms = decision.booking, 0
    if call.outcome is Outcome.ANSWERED:
        note_answer(tx, AnswerReport(call_id, booking.id, call_id, decision.seconds), began)
        limit_ms = talk_limit_ms(decision.seconds, 0, booking.end_at - began.wall_ms)
        talked_ms = min(call.seconds * 1000, limit_ms)
    lasted_ms = lasts_ms(call.outcome, talked_ms, decision.ring_seconds)
    # The clock moves before the call ends: the callback about the end is due by the machine's clock, and the outbox
    # computes that from the sandbox's new clock.
    moved = move_ahead(tx, sandbox, lasted_ms)
    was_cut = call.outcome is Outcome.ANSWERED and talked_ms < call.seconds * 1000
    end = EndReport(call_id, booking.id, talked_ms, CUT_AT_LIMIT if was_cut else REPORTED[call.outcome])
    ended = Timestamp(EpochMs(began.wall_ms + lasted_ms), BootMs(began.boot_ms + lasted_ms))
    call_ended(tx, end, ended, policy)
    if talked_ms and decision.direction is Direction.FORWARD:
        note_reached(tx, booking.service, call.source, booking.id, began.wall_ms, policy.pepper)
    return moved
