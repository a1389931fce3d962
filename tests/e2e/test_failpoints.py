"""After kill -9 at each write point of the engine and a restart, there is one outcome and the ledger adds up (M4)."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from engine.calls.end_spool import CURRENT
from engine.runtime.failpoints import VARIABLE
from phones.listener import CallbackListener
from phones.messages import final_status
from tests.contract.ledger import broken_rules
from tests.e2e.booking import Booking, fictional_number
from tests.e2e.calls import Caller, Outcome, is_charged, wait_talking
from tests.e2e.system import System

CALLBACK_SECONDS = 45.0


@pytest.fixture(scope="module")
def started() -> Iterator[System]:
    with System(
        longest_call=60,
        reconcile_interval=0.5,
        callback_timeout=1,
        plans={
            "MEDIUM": {"seconds": 40, "calls": 25, "valid_for": 3600},  # one call leases all of it
            "LARGE": {"seconds": 600, "calls": 25, "valid_for": 3600},
        },
    ) as system:
        yield system


@pytest.fixture
def crash_system(started: System) -> Iterator[System]:
    """The system; its engine runs again after a test that fails without one."""
    yield started
    if not started.has_engine:
        started.start_engine()
        started.wait_ready()


@contextlib.contextmanager
def dying_at(system: System, point: str) -> Iterator[None]:
    """Inside its `with`, the engine dies when it reaches the failpoint. At the end it has died and is running again."""
    system.stop_engine()
    # At its start the engine reads the end spool, and would die as it finds that the ends in it are settled.
    (system.settings.journal / CURRENT).unlink(missing_ok=True)
    system.start_engine(**{VARIABLE: point})
    system.wait_ready()
    try:
        yield
        system.wait_engine_dead()
    finally:
        system.stop_engine()
        system.start_engine()
        system.wait_ready()


def _rows(system: System, sql: str, *parameters: str) -> list[tuple[object, ...]]:
    with system.database() as database:
        return database.execute(sql, parameters).fetchall()


def _all_settled(booked: Booking) -> bool:
    return not _rows(booked.system, "SELECT 1 FROM calls WHERE booking_id = ? AND ended_at IS NULL", booked.id)


def _ledger_adds_up(system: System) -> bool:
    """Checks the rules on the database itself, which is faster than to start `ledger verify`."""
    with system.database() as database:
        return broken_rules(database) == {}


@pytest.mark.parametrize("point", ["route_call before commit", "route_call committed"])
def test_after_a_kill_in_route_the_caller_gets_503_and_nothing_is_spent(crash_system: System, point: str) -> None:
    booked = crash_system.book("LARGE")
    caller = Caller(crash_system)
    with dying_at(crash_system, point), caller.hidden() as hidden:
        outcome = caller.call(booked.service)
        assert outcome.status == 503
        assert hidden.messages() == []
    crash_system.until(lambda: _all_settled(booked), "every lease is settled", 30)
    assert (booked.now["secondsRemaining"], booked.now["callsRemaining"]) == (600, 25)
    assert _ledger_adds_up(crash_system)


@pytest.mark.parametrize("point", ["note_answer before commit", "note_answer committed"])
def test_after_a_kill_at_the_answer_the_call_continues_and_is_metered(crash_system: System, point: str) -> None:
    booked = crash_system.book("LARGE")
    caller = Caller(crash_system)
    with caller.hidden(), contextlib.ExitStack() as stack:
        with dying_at(crash_system, point):
            callers = stack.enter_context(caller.dialling(booked.service, "uac_hangs_up", keys={"talk": 5500}))
        callers.wait()
        outcome = Outcome(callers.messages())
    [cdr] = booked.wait_settled()
    assert (outcome.status, is_charged(cdr["duration"], outcome.talked)) == (200, True)
    crash_system.until(lambda: _all_settled(booked), "every lease is settled", 30)
    assert booked.now["secondsRemaining"] == 600 - cdr["duration"]
    assert _ledger_adds_up(crash_system)


@pytest.mark.parametrize("point", ["call_ended before commit", "call_ended committed"])
def test_after_a_kill_at_the_end_the_call_is_settled_once_and_its_callback_sent(
    crash_system: System, listener: CallbackListener, point: str
) -> None:
    booked = crash_system.book("LARGE", listener.url)
    caller = Caller(crash_system)
    # A callback of an earlier test would kill the engine before this one begins.
    crash_system.until(lambda: not _rows(crash_system, "SELECT 1 FROM outbox WHERE state = 'PENDING'"), "none waits")
    with dying_at(crash_system, point), caller.hidden():
        outcome = caller.call(booked.service, "uac_hangs_up", talk=1500)
    [cdr] = booked.wait_settled()
    assert (outcome.status, is_charged(cdr["duration"], outcome.talked)) == (200, True)
    crash_system.until(lambda: _all_settled(booked), "every lease is settled", 30)
    [callback] = listener.wait(1, CALLBACK_SECONDS)
    assert callback.content["duration"] == cdr["duration"]
    assert _ledger_adds_up(crash_system)


def test_after_a_kill_a_spooled_end_is_not_settled_twice(crash_system: System) -> None:
    booked = crash_system.book("LARGE")
    caller = Caller(crash_system)
    with (
        caller.hidden(calls=2),
        caller.dialling(booked.service, "uac_hangs_up", keys={"talk": 1500}) as first,
        caller.dialling(booked.service) as second,
    ):
        wait_talking(crash_system, first)
        wait_talking(crash_system, second)
        crash_system.kill_engine()
        first.wait()
        talked = Outcome(first.messages()).talked
        crash_system.start_engine(**{VARIABLE: "end spool settled"})
        crash_system.wait_engine_dead()
        [(duration,)] = _rows(crash_system, "SELECT duration FROM cdrs WHERE booking_id = ?", booked.id)
        assert is_charged(int(str(duration)), talked)
        crash_system.asterisk_console("channel request hangup all")
        second.wait()
    crash_system.wait_spooled(booked.id, 2)
    crash_system.start_engine()
    crash_system.wait_ready()
    # The second call's end stands behind the first one's, so the first one's was read again.
    assert duration in [cdr["duration"] for cdr in booked.wait_settled(2)]
    crash_system.until(lambda: _all_settled(booked), "every lease is settled", 30)
    assert len(booked.calls) == 2
    assert _ledger_adds_up(crash_system)


@pytest.mark.parametrize(
    "point",
    [
        # As room is made for the second call, …
        *("limits lowered", "apply_shares before commit", "apply_shares committed"),
        # … and at the end of the second call, whose seconds the first one gets.
        *("apply_shares before commit:3", "growth booked"),
    ],
)
def test_after_a_kill_while_sharing_both_calls_stay_within_the_credit(crash_system: System, point: str) -> None:
    booked = crash_system.book("MEDIUM")
    caller = Caller(crash_system)
    with caller.hidden(calls=2), contextlib.ExitStack() as stack:
        with dying_at(crash_system, point):
            first = stack.enter_context(caller.dialling(booked.service, "uac_hangs_up", keys={"talk": 6500}))
            wait_talking(crash_system, first)
            second = stack.enter_context(caller.dialling(booked.service, "uac_hangs_up", keys={"talk": 2500}))
            second.wait()
        first.wait()
    for messages in (first.messages(), second.messages()):
        assert final_status(messages) in {200, 503}
    crash_system.until(lambda: _all_settled(booked), "every lease is settled", 30)
    assert sum(cdr["duration"] for cdr in booked.calls) == 40 - booked.now["secondsRemaining"]
    assert any(is_charged(cdr["duration"], Outcome(first.messages()).talked) for cdr in booked.calls)
    assert _ledger_adds_up(crash_system)


Ask = Callable[[System, Booking], object]


@pytest.mark.parametrize(
    ("point", "ask"),
    [
        ("book before commit", lambda system, booked: system.request("POST", "/bookings", _wish())),
        ("book committed", lambda system, booked: system.request("POST", "/bookings", _wish())),
        ("add_plan before commit", lambda system, booked: system.request("PUT", f"/bookings/{booked.id}", _plan())),
        ("add_plan committed", lambda system, booked: system.request("PUT", f"/bookings/{booked.id}", _plan())),
        ("cancel before commit", lambda system, booked: system.request("DELETE", f"/bookings/{booked.id}")),
        ("cancel committed", lambda system, booked: system.request("DELETE", f"/bookings/{booked.id}")),
    ],
)
def test_after_a_kill_a_request_has_full_effect_or_none(crash_system: System, point: str, ask: Ask) -> None:
    booked = crash_system.book("LARGE")
    before = _state(crash_system)
    with dying_at(crash_system, point):
        ask(crash_system, booked)
    after = _state(crash_system)
    assert (after == before) is point.endswith("before commit")
    # In either case each booked number belongs to exactly one booking.
    assert (
        _rows(
            crash_system,
            "SELECT e164 FROM numbers WHERE (state = 'BOOKED') != "
            "EXISTS (SELECT 1 FROM bookings WHERE service = e164 AND gone_at IS NULL)",
        )
        == []
    )
    assert _ledger_adds_up(crash_system)


@pytest.mark.parametrize("point", ["begin_all committed", "record before commit", "record committed"])
def test_after_a_kill_a_callback_is_delivered_at_least_once_with_the_same_id(
    crash_system: System, listener: CallbackListener, point: str
) -> None:
    booked = crash_system.book("LARGE", listener.url)
    caller = Caller(crash_system)
    # A callback of an earlier test would kill the engine before this one begins.
    crash_system.until(lambda: not _rows(crash_system, "SELECT 1 FROM outbox WHERE state = 'PENDING'"), "none waits")
    with dying_at(crash_system, point), caller.hidden():
        assert caller.call(booked.service, "uac_hangs_up", talk=200).status == 200
    crash_system.until(
        lambda: _rows(crash_system, "SELECT state FROM outbox WHERE booking_id = ?", booked.id) == [("DELIVERED",)],
        "the callback is delivered and recorded",
        CALLBACK_SECONDS,
    )
    assert len({callback.headers["webhook-id"] for callback in listener.received()}) == 1
    assert len({callback.body for callback in listener.received()}) == 1


def _state(system: System) -> list[tuple[object, ...]]:
    return _rows(system, "SELECT id, service, seconds_granted, end_at, gone_at FROM bookings ORDER BY id")


def _wish() -> dict[str, Any]:
    return {"destination": "+33199006001", "usagePlan": "LARGE", "callback": "http://127.0.0.1:9/"}


def _plan() -> dict[str, Any]:
    return {"usagePlan": "LARGE"}


@pytest.mark.parametrize(("point", "made"), [("once before commit", 0), ("once committed", 1)])
def test_after_a_kill_a_repeated_request_with_the_same_idempotency_key_makes_one_booking(
    crash_system: System, point: str, made: int
) -> None:
    destination = fictional_number()
    body = {"destination": destination, "usagePlan": "LARGE", "callback": "http://127.0.0.1:9/"}
    headers = {"Idempotency-Key": destination.removeprefix("+")}
    with dying_at(crash_system, point):
        assert crash_system.request("POST", "/bookings", body, headers).status == 0
    assert len(_rows(crash_system, "SELECT 1 FROM bookings WHERE destination = ?", destination)) == made
    assert crash_system.request("POST", "/bookings", body, headers).status == 201
    assert len(_rows(crash_system, "SELECT 1 FROM bookings WHERE destination = ?", destination)) == 1
