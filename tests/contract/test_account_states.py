"""Suspended and closed accounts: what they keep, what is refused, and that every step may be repeated."""

from typing import Any

import pytest

from engine.accounts.accounts import MAX_NAME, account_of, create_account, sandbox_of
from engine.accounts.keys import create_key, key_digest
from engine.accounts.lifecycle import MAX_REASON, rename, resume, suspend
from engine.backup.replay import Losses, make_up_for
from engine.bookings import closing
from engine.bookings.blocked_callers import block
from engine.bookings.closing import BATCH, close, end_bookings_of_closed
from engine.bookings.explain import explain
from engine.bookings.lifecycle import BookingRequest, book
from engine.calls.reports import ReportReader
from engine.domain.account_state import TRANSITIONS, AccountEvent, AccountState
from engine.domain.errors import AccountSuspended, InvalidInput
from engine.domain.ids import CallId
from engine.domain.policy import UsagePlan
from engine.domain.rejections import ACCOUNT_SUSPENDED, UNKNOWN_NUMBER, Reason
from engine.domain.routing import Bridge
from engine.domain.simulation import Outcome, SimulatedCall
from engine.domain.times import DAY_MS, EpochMs
from engine.sandbox.simulation import simulate_call
from engine.storage.accounts import Account
from engine.storage.reads import Reads
from engine.storage.revocations import Kind, RevocationLog
from engine.storage.transaction import Transaction
from tests.contract.samples import CALLBACK, CALLER, HIDDEN, PEPPER, SECOND, START
from tests.contract.world import POOL, World

ACTIVE, SUSPENDED, CLOSED = AccountState
STATES = "SELECT id, closed_at IS NULL AS is_open, suspended_at IS NULL AS is_active FROM accounts ORDER BY id"


async def at(world: World) -> Account:
    return await world.storage.run(account_of, world.account)


async def do(world: World, event: AccountEvent) -> None:
    if event is AccountEvent.SUSPEND:
        await world.storage.run(suspend, "Ann", "unpaid", world.now)
    elif event is AccountEvent.RESUME:
        await world.storage.run(resume, "Ann")
    else:
        await world.storage.run(close, "Ann", world.now)


@pytest.mark.parametrize("event", AccountEvent)
@pytest.mark.parametrize("state", AccountState)
async def test_each_step_leads_where_the_table_says_and_its_repetition_changes_nothing(
    world: World, state: AccountState, event: AccountEvent
) -> None:
    sandbox = (await world.storage.run(sandbox_of, "Ann", world.now)).id
    before = {ACTIVE: [], SUSPENDED: [AccountEvent.SUSPEND], CLOSED: [AccountEvent.CLOSE]}
    for each in before[state]:
        await do(world, each)
    world.now += DAY_MS
    if (state, event) not in TRANSITIONS:
        with pytest.raises(InvalidInput, match="closed for good"):
            await do(world, event)
        assert (await at(world)).state is state
        return
    await do(world, event)
    once = await at(world)
    world.now += DAY_MS
    await do(world, event)
    assert await at(world) == once
    assert (once.state, once.suspended_at is None) == (TRANSITIONS[state, event], once.state is ACTIVE)
    in_sandbox = await world.storage.run(account_of, sandbox)
    assert (in_sandbox.state, in_sandbox.suspended_at) == (once.state, once.suspended_at)


async def test_new_calls_are_refused_while_those_that_are_up_go_on_to_their_end(world: World) -> None:
    booking, ringing = await world.book(UsagePlan.LARGE), await world.book()
    await world.bridge(booking, "talks")
    await world.answered(CallId("talks"))
    await world.bridge(ringing, "rings")
    await do(world, AccountEvent.SUSPEND)
    assert await world.route(booking.service, "refused") == ACCOUNT_SUSPENDED
    # A question about the same call again has the same answer.
    assert isinstance(await world.route(ringing.service, "rings"), Bridge)
    assert await world.answered(CallId("rings")) > 0
    world.now += 7 * SECOND
    for call_id in ("talks", "rings"):
        settled = await world.ended(CallId(call_id), 7 * SECOND)
        assert settled is not None
        assert settled.cdr.duration == 7
    told = world.rows("SELECT url FROM outbox")
    assert [each["url"] for each in told] == [CALLBACK, CALLBACK]
    assert world.rows("SELECT disposition, duration FROM cdrs WHERE call_id = 'refused'") == [
        {"disposition": "ACCOUNT_SUSPENDED", "duration": 0}
    ]
    shown = await world.storage.run(explain, world.account, booking.id, CALLER, world.at, world.policy)
    assert shown.reason is Reason.ACCOUNT_SUSPENDED
    await do(world, AccountEvent.RESUME)
    assert isinstance(await world.route(booking.service, "again"), Bridge)


async def test_calls_to_expired_bookings_of_a_suspended_account_cause_no_callback(
    world: World,
) -> None:
    booking = await world.book()
    await do(world, AccountEvent.SUSPEND)
    world.now = booking.end_at
    assert await world.route(booking.service) == ACCOUNT_SUSPENDED
    assert world.rows("SELECT * FROM outbox") == []


async def test_nothing_is_booked_for_an_account_that_is_not_active(world: World) -> None:
    """A request may have begun before the account was suspended."""
    sandbox = (await world.storage.run(sandbox_of, "Ann", world.now)).id
    for event in (AccountEvent.SUSPEND, AccountEvent.CLOSE):
        await do(world, event)
        for account in (world.account, sandbox):
            with pytest.raises(AccountSuspended):
                await world.book(account=account)
    assert world.rows("SELECT DISTINCT state FROM numbers") == [{"state": "FREE"}]
    with pytest.raises(InvalidInput, match="closed for good"):
        await world.storage.run(create_key, "Ann", PEPPER, world.now)


async def test_a_sandbox_follows_its_account_also_when_it_is_made_later(world: World) -> None:
    await do(world, AccountEvent.SUSPEND)
    key = await world.storage.run(create_key, "Ann", PEPPER, world.now, test=True)
    async with Reads(world.database) as reads:
        opened = await reads.key(key_digest(key.secret, PEPPER))
        assert opened is not None
        assert opened.is_suspended
    for step in (lambda tx: suspend(tx, "Ann (test)", None, START), lambda tx: resume(tx, "Ann (test)")):
        with pytest.raises(InvalidInput, match="is a sandbox"):
            await world.storage.run(step)
    await do(world, AccountEvent.RESUME)
    request = BookingRequest(key.account_id, HIDDEN, UsagePlan.SMALL, CALLBACK)
    booking = await world.storage.run(book, request, world.now, world.policy)
    call = SimulatedCall(booking.service, CALLER, Outcome.ANSWERED, 5)
    await do(world, AccountEvent.SUSPEND)
    done = await world.storage.run(simulate_call, key.account_id, call, world.at, world.policy)
    assert (done.reason, done.sip_status) == (Reason.ACCOUNT_SUSPENDED, 480)


@pytest.mark.parametrize("reason", ["", " ", "x" * (MAX_REASON + 1), "a\nb"])
async def test_a_reason_is_one_line(world: World, reason: str) -> None:
    with pytest.raises(InvalidInput, match="--reason"):
        await world.storage.run(suspend, "Ann", reason, world.now)
    assert (await at(world)).state is ACTIVE


async def test_closing_ends_all_bookings_in_batches_revokes_all_keys_and_leaves_other_accounts_alone(
    all_events: World,
) -> None:
    world = all_events
    other = await world.storage.run(create_account, "Bob", world.now)
    theirs = await world.book(account=other.id)
    real = [await world.book() for _ in range(2)]
    await world.talk(real[0], CallId("c1"), 3 * SECOND)
    key = await world.storage.run(create_key, "Ann", PEPPER, world.now, test=True)
    for account in ("Ann", "Bob"):
        await world.storage.run(create_key, account, PEPPER, world.now)
    for _ in range(BATCH):
        await world.book(account=key.account_id)
    waiting = world.rows("SELECT id FROM outbox WHERE state = 'PENDING'")
    closed = await world.storage.run(close, "Ann", world.now)
    assert (closed.keys_revoked, closed.live) == (2, [])
    assert await world.route(real[1].service) == ACCOUNT_SUSPENDED  # before its booking ends
    ended = [await world.storage.run(end_bookings_of_closed, world.now, world.policy) for _ in range(3)]
    assert ended == [BATCH, 2, 0]
    assert await world.route(real[1].service) == UNKNOWN_NUMBER
    assert (await world.stored(theirs)).gone_at is None
    expected = dict.fromkeys(POOL, "FREE") | {theirs.service: "BOOKED"}
    expected |= {each.service: "QUARANTINED" for each in real}
    assert {row["e164"]: row["state"] for row in world.rows("SELECT e164, state FROM numbers")} == expected
    assert world.rows("SELECT COUNT(*) AS valid FROM api_keys WHERE revoked_at IS NULL") == [{"valid": 1}]
    # What waited still waits to be delivered, and the customer hears of the end of each booking.
    after = world.rows("SELECT id, body FROM outbox WHERE state = 'PENDING'")
    assert {row["id"] for row in waiting} < {row["id"] for row in after}
    assert sum('"booking.gone"' in row["body"] and '"deleted"' in row["body"] for row in after) == 2
    assert world.rows("SELECT COUNT(*) AS records FROM cdrs WHERE disposition = 'ANSWERED'") == [{"records": 1}]
    again = await world.storage.run(close, world.account, EpochMs(world.now + 1))
    assert (again.keys_revoked, again.account) == (0, closed.account)


async def test_an_account_with_live_calls_is_closed_only_by_force_and_the_sweep_ends_them(world: World) -> None:
    booking = await world.book(UsagePlan.LARGE)
    for call_id in ("c1", "c2"):
        await world.bridge(booking, call_id)
    with pytest.raises(InvalidInput, match="2 calls of it are live"):
        await world.storage.run(close, "Ann", world.now)
    assert (await at(world)).state is ACTIVE
    closed = await world.storage.run(close, "Ann", world.now, with_live_calls=True)
    assert closed.live == [booking.id, booking.id]
    assert await world.storage.run(end_bookings_of_closed, world.now, world.policy) == 1
    assert sorted((await world.sweep()).channels) == ["c1", "c2"]
    for call_id in ("c1", "c2"):
        assert await world.ended(CallId(call_id), 0) is not None


async def test_a_renamed_account_keeps_its_id_and_its_sandbox_follows(world: World) -> None:
    sandbox = (await world.storage.run(sandbox_of, "Ann", world.now)).id
    await world.storage.run(create_account, "Cid (test)", world.now)

    def names(tx: Transaction) -> list[Any]:
        return [account_of(tx, each).name for each in (world.account, sandbox)]

    for name, of_sandbox in (("Bob", "Bob (test)"), ("Bob", "Bob (test)"), ("Cid", f"{world.account} (test)")):
        assert (await world.storage.run(rename, world.account, name)).id == world.account
        assert await world.storage.run(names) == [name, of_sandbox]
    for taken in ("Cid (test)", " ", "x" * (MAX_NAME + 1)):
        with pytest.raises(InvalidInput):
            await world.storage.run(rename, "Cid", taken)


@pytest.mark.sqlite_only
async def test_a_restore_gives_each_account_its_latest_state_also_from_a_compacted_log(world: World) -> None:
    accounts = {name: (await world.storage.run(create_account, name, world.now)).id for name in ("Bob", "Cid", "Dan")}
    await world.storage.run(suspend, "Dan", None, world.now)
    await world.storage.run(create_key, "Cid", PEPPER, world.now)
    kept = world.rows("SELECT * FROM accounts")
    for step in ("suspend Bob", "resume Bob", "suspend Ann", "resume Ann", "suspend Bob", "resume Dan", "close Cid"):
        verb, name = step.split()
        if verb == "close":
            await world.storage.run(close, name, world.now)
        else:
            await world.storage.run(*((suspend, name, None, world.now) if verb == "suspend" else (resume, name)))
    latest = world.rows(STATES)
    log = RevocationLog(world.database)
    log.compact(EpochMs(0))
    entries = log.read()
    assert [(each.kind, each.subject) for each in entries].count((Kind.SUSPENDED, accounts["Bob"])) == 1

    def back_to_the_backup(tx: Transaction) -> None:
        for row in kept:
            sql = "UPDATE accounts SET suspended_at = ?, closed_at = NULL WHERE id = ?"
            tx.accounts._db.execute(sql, (row["suspended_at"], row["id"]))
        tx.accounts._db.execute("UPDATE api_keys SET revoked_at = NULL")

    await world.storage.run(back_to_the_backup)
    losses = Losses(entries, (), world.now, world.at, world.policy)
    done = await world.storage.run(make_up_for, losses, ReportReader(["token"]))
    counts = {name: done[name] for name in ("accountsSuspended", "accountsResumed", "accountsClosed", "keysRevoked")}
    assert counts == {"accountsSuspended": 1, "accountsResumed": 1, "accountsClosed": 1, "keysRevoked": 1}
    assert world.rows(STATES) == latest


async def test_bookings_with_many_blocked_callers_end_in_more_transactions(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls wait for each transaction."""
    monkeypatch.setattr(closing, "UNBLOCK_LIMIT", 2)
    for _ in range(3):
        booking = await world.book()
        for caller in (CALLER, "+14155550199"):
            await world.storage.run(block, world.account, booking.id, caller, world.now, world.policy)
    await do(world, AccountEvent.CLOSE)
    assert [await world.storage.run(end_bookings_of_closed, world.now, world.policy) for _ in range(4)] == [1, 1, 1, 0]
    assert world.rows("SELECT * FROM blocked_callers") == []
