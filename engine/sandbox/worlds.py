"""The use cases of test worlds: an account beside a customer's own, with simulated numbers, calls and a clock.

All else is as for real: the same bookings, the same rules, callbacks that are delivered. A simulated call goes through
the use cases of real ones within one transaction, so it is never up for anybody who looks at live calls.
"""

from dataclasses import dataclass, replace

from engine.bookings.lifecycle import end_graces
from engine.callbacks.notifications import notify_due
from engine.calls.lease_rebalancing import begin_talk
from engine.calls.lifecycle import EndReport, IncomingCall, booking_called, call_ended, facts_of, route_call
from engine.domain.booking import Booking, BookingStatus, status_at
from engine.domain.errors import ClockTooFar, InvalidInput, InvariantBroken
from engine.domain.ids import AccountId, CallId
from engine.domain.policy import Policy
from engine.domain.routing import Bridge, MakeRoom, Reason, judge
from engine.domain.simulation import DIAL_STATUS, Outcome, SimulatedCall, lasts_ms, sip_status
from engine.domain.times import EpochMs, Timestamp
from engine.runtime.ids import new_id
from engine.storage.cdrs import Cdr
from engine.storage.sandboxes import Sandbox
from engine.storage.sqlite import SqliteStorage
from engine.storage.transaction import Transaction

# A thousand years: every instant that follows from it can still be written down.
MAX_AHEAD_MS = 1_000 * 366 * 86_400_000
# How much one transaction cleans up, and in how many worlds it looks, so that no call ever waits long behind it.
SWEEP_LIMIT = 200
SANDBOXES_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Simulation:
    """What became of a simulated call. `record` None: nothing is recorded of such a call. `booking` None: nobody holds
    the number. `now`: when it was over, by the world's clock."""

    reason: Reason
    sip_status: int
    record: Cdr | None
    booking: Booking | None
    now: EpochMs

    @property
    def put_through(self) -> bool:
        return self.reason is Reason.PUT_THROUGH


@dataclass(frozen=True, slots=True)
class SandboxSweep:
    """How much was `done`. `last`: where the next transaction goes on; None: these were all."""

    done: int
    last: str | None


def simulate_call(
    tx: Transaction, account_id: AccountId, call: SimulatedCall, at: Timestamp, policy: Policy
) -> Simulation:
    """From the caller's INVITE to the end. `at`: by the machine's clock. Raises ClockTooFar."""
    world = _world(tx, account_id)
    began = world.timestamp(at)
    incoming = IncomingCall(CallId(new_id("sim")), call.service, call.source, sandbox=account_id)
    called = booking_called(tx, incoming)
    reason = judge(facts_of(tx, called, call.source, began.wall_ms), began.wall_ms, policy)
    decision = route_call(tx, incoming, began, policy, room_was_made=True)
    if isinstance(decision, MakeRoom):
        raise InvariantBroken("no call is up in a test world, and none can make room")
    if isinstance(decision, Bridge):
        world = _carry_through(tx, world, incoming.call_id, call, decision, began, policy)
    now = world.now(at.wall_ms)
    sweep_sandbox(tx, world, now, policy)
    booking = tx.bookings.by_id(called.id) if called else None
    return Simulation(
        reason=reason,
        sip_status=sip_status(decision, call.outcome),
        record=tx.worlds.record_of(incoming.call_id),
        booking=None if booking is None or status_at(booking, now, policy) is BookingStatus.GONE else booking,
        now=now,
    )


def advance_clock(tx: Transaction, account_id: AccountId, milliseconds: int, now: EpochMs) -> EpochMs:
    """What the world's clock says then. `now`: by the machine's. Raises ClockTooFar.

    What falls due is left to `sweep_own`.
    """
    return _ahead(tx, _world(tx, account_id), milliseconds).now(now)


def sweep_own(tx: Transaction, account_id: AccountId, now: EpochMs, policy: Policy) -> int:
    """Carry out what is due in one world. `now`: by the machine's clock. How much was done: 0 when nothing is left."""
    world = _world(tx, account_id)
    return sweep_sandbox(tx, world, world.now(now), policy)


async def sweep_sandboxes(storage: SqliteStorage, now: EpochMs, policy: Policy) -> int:
    """Carry out what is due in all worlds, each by its own clock. `now`: by the machine's. How much was done.

    Calls get their turn after each transaction. Raises StorageError; what was done until then stays done.
    """
    swept = SandboxSweep(0, "")
    while swept.last is not None:
        page = await storage.run(sweep_page, swept.last, now, policy)
        swept = SandboxSweep(swept.done + page.done, page.last)
    return swept.done


def sweep_page(tx: Transaction, after: str, now: EpochMs, policy: Policy) -> SandboxSweep:
    """As many worlds after `after` as one transaction should."""
    done = 0
    page = tx.worlds.page(after, SANDBOXES_AT_ONCE)
    for world in page:
        done += sweep_sandbox(tx, world, world.now(now), policy)
        if done >= SWEEP_LIMIT:
            return SandboxSweep(done, world.test_of)
    return SandboxSweep(done, page[-1].test_of if len(page) == SANDBOXES_AT_ONCE else None)


def sweep_sandbox(tx: Transaction, world: Sandbox, now: EpochMs, policy: Policy) -> int:
    """`now`: by the world's own clock. Here belongs all that the passing of time brings about in an account."""
    told = notify_due(tx, now, policy, world.account_id)
    over = tx.worlds.expired_before(world.account_id, EpochMs(now - policy.grace_ms), SWEEP_LIMIT)
    if told.is_full:
        return told.looked_at  # what has expired is told before it is gone
    return told.looked_at + end_graces(tx, over, now, policy)


def _carry_through(
    tx: Transaction,
    world: Sandbox,
    call_id: CallId,
    call: SimulatedCall,
    decision: Bridge,
    began: Timestamp,
    policy: Policy,
) -> Sandbox:
    """Ring, talk and hang up. The world, whose clock is moved by then."""
    talked_ms = 0
    if call.outcome is Outcome.ANSWERED:
        talk = begin_talk(tx, call_id, call_id, began, policy)
        talked_ms = min(call.seconds * 1000, talk.limit.left_ms if talk.limit else 0)
    # Before it ends: what is told of it is due by the machine's clock, which the new one is compared with.
    lasted_ms = lasts_ms(call.outcome, talked_ms, decision.ring_seconds)
    moved = _ahead(tx, world, lasted_ms)
    call_ended(tx, EndReport(call_id, talked_ms, DIAL_STATUS[call.outcome]), EpochMs(began.wall_ms + lasted_ms), policy)
    return moved


def _ahead(tx: Transaction, world: Sandbox, milliseconds: int) -> Sandbox:
    moved = replace(world, clock_ahead_ms=world.clock_ahead_ms + milliseconds)
    if moved.clock_ahead_ms > MAX_AHEAD_MS:
        raise ClockTooFar("the clock of this test world cannot be set further ahead")
    tx.worlds.set_clock(moved)
    return moved


def _world(tx: Transaction, account_id: AccountId) -> Sandbox:
    """Raises InvalidInput: the API asks for test keys before it comes here."""
    world = tx.worlds.of(account_id)
    if world is None:
        raise InvalidInput(["this account is no test world"])
    return world
