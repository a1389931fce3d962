"""Rows as they lie in the database, as types. One mapper a table; nothing else knows column names."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.domain.booking import Booking
from engine.domain.caller_id import CallerId
from engine.domain.limits import Limits
from engine.domain.metering import CallState, Credit
from engine.domain.notes import as_text
from engine.domain.plans import UsagePlan
from engine.domain.routing import Disposition
from engine.domain.times import Moment

Row = Mapping[str, Any]
# Of most bookings, and three of them are read for each call.
NO_METADATA = as_text({})


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was granted a lease. `…_at` epoch milliseconds, `…_ticks` the machine's (see Moment).

    `call_id`: unique id of the caller's channel in Asterisk, `callee_channel` that of the one that carries the limit.
    `answered`: its `now` is Asterisk's wall clock, where that is known. `seen_ticks`: when Asterisk last said that it
    is up.
    """

    call_id: str
    booking_id: str
    state: CallState
    source: str
    destination: str
    callee_channel: str | None
    seconds_leased: int
    seconds_charged: int | None
    started_at: int
    ended_at: int | None
    started_ticks: int
    answered: Moment | None
    seen_ticks: int | None


@dataclass(frozen=True, slots=True)
class UpCall:
    """What the comparison with Asterisk needs of a call that holds a lease; there may be ten thousand."""

    call_id: str
    state: CallState
    seconds_leased: int
    started_ticks: int
    seen_ticks: int | None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that opens its account. `test_of`: the account beside which that is a test world, if it is one; its clock
    is so far ahead of the machine's."""

    id: str
    account_id: str
    test_of: str | None = None
    clock_ahead_ms: int = 0


@dataclass(frozen=True, slots=True)
class Cdr:
    """A call record, written once. `duration` in whole seconds; `started_at` is when the call came in."""

    id: str
    account_id: str
    booking_id: str
    call_id: str
    started_at: int
    duration: int
    source: str
    service: str
    destination: str
    disposition: Disposition


@dataclass(frozen=True, slots=True)
class Grant:
    """What a booking was given to spend: with a plan, or by an operator, who says why and may take away."""

    id: str
    booking_id: str
    usage_plan: UsagePlan | None
    seconds: int
    calls: int
    granted_at: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class BlockedCaller:
    """`caller`: E.164. `created_at`: when it was blocked."""

    caller: str
    created_at: int

    @property
    def id(self) -> str:
        """What a list of them is ordered by."""
        return self.caller


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What a request was answered, as HTTP has it: `location` the header's value, if it had one."""

    status: int
    location: str | None
    body: str


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer that is kept: to which request, and since when."""

    fingerprint: str
    answer: KeptAnswer
    kept_at: int


@dataclass(frozen=True, slots=True)
class Account:
    """`test_of`: the account whose test world it is; None: a customer's own."""

    id: str
    name: str
    webhook_secret: str
    created_at: int
    test_of: str | None = None


@dataclass(frozen=True, slots=True)
class Number:
    e164: str
    state: str
    idle_since: int
    quarantined_until: int | None
    country: str | None


def booking_from_row(row: Row) -> Booking:
    return Booking(
        id=row["id"],
        account_id=row["account_id"],
        service=row["service"],
        destination=row["destination"],
        usage_plan=UsagePlan(row["usage_plan"]),
        callback=row["callback"],
        created_at=row["created_at"],
        end_at=row["end_at"],
        exhausted_at=row["exhausted_at"],
        gone_at=row["gone_at"],
        seconds=_credit(row, "seconds"),
        calls=_credit(row, "calls"),
        limits=Limits(
            max_concurrent_calls=row["max_concurrent_calls"],
            max_calls_per_caller_per_hour=row["max_calls_per_caller_per_hour"],
            max_call_seconds=row["max_call_seconds"],
        ),
        caller_id=CallerId(row["caller_id"]),
        refuse_anonymous=bool(row["refuse_anonymous"]),
        paused=bool(row["paused"]),
        label=row["label"],
        metadata={} if row["metadata"] == NO_METADATA else json.loads(row["metadata"]),
    )


def fields_of(record: Any) -> dict[str, Any]:  # noqa: ANN401  a dataclass, whichever
    """By name, as they are. `asdict` would copy all that lies in them, which costs more than the statement itself."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def booking_to_row(booking: Booking) -> dict[str, Any]:
    row = fields_of(booking)
    row |= fields_of(row.pop("limits"))
    row |= {"refuse_anonymous": int(booking.refuse_anonymous), "paused": int(booking.paused)}
    row["metadata"] = as_text(booking.metadata)
    for unit in ("seconds", "calls"):
        row |= {f"{unit}_{part}": amount for part, amount in fields_of(row.pop(unit)).items()}
    return row


def _credit(row: Row, unit: str) -> Credit:
    return Credit(
        granted=row[f"{unit}_granted"],
        remaining=row[f"{unit}_remaining"],
        leased=row[f"{unit}_leased"],
        settled=row[f"{unit}_settled"],
    )


def grant_from_row(row: Row) -> Grant:
    plan = row["usage_plan"]
    return Grant(**{**row, "usage_plan": None if plan is None else UsagePlan(plan)})


def call_from_row(row: Row) -> Call:
    values = dict(row)
    at, ticks = values.pop("answered_at"), values.pop("answered_ticks")
    return Call(**values | {"state": CallState(row["state"]), "answered": None if at is None else Moment(at, ticks)})


def call_to_row(call: Call) -> dict[str, Any]:
    row = fields_of(call)
    answered: Moment | None = row.pop("answered")
    row["answered_at"], row["answered_ticks"] = (answered.now, answered.ticks) if answered else (None, None)
    return row


def cdr_from_row(row: Row) -> Cdr:
    """Of a row that may have more columns than a call record."""
    return Cdr(
        id=row["id"],
        account_id=row["account_id"],
        booking_id=row["booking_id"],
        call_id=row["call_id"],
        started_at=row["started_at"],
        duration=row["duration"],
        source=row["source"],
        service=row["service"],
        destination=row["destination"],
        disposition=Disposition(row["disposition"]),
    )
