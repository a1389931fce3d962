"""/account: the account of the API key, and the optional events that its callbacks report."""

from typing import Annotated, Literal

from aiohttp import web
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES, SANDBOX, now_of
from api.http.parsing import read_body
from api.http.responses import json_answer
from api.http.routes import Operation, Route
from api.schemas.common import Incoming, Outgoing
from api.schemas.fields import AccountIdField, Count, Instant, described
from engine.callbacks import notifications
from engine.domain.account_state import AccountState
from engine.domain.notifications import EventType
from engine.domain.origins import MAX_ORIGIN, NO_ORIGIN, ORIGIN, is_origin
from engine.domain.times import rfc3339
from engine.storage.transaction import Transaction


def _each_once(events: list[EventType]) -> list[EventType]:
    if len(set(events)) < len(events):
        raise PydanticCustomError("not_unique", "must not have the same event twice")
    return events


# Not strict: see `Plan` in `api.schemas.fields`.
def _origin(text: str) -> str:
    if not is_origin(text):
        raise PydanticCustomError("no_origin", NO_ORIGIN)
    return text


FrameOrigin = Annotated[str, Field(max_length=MAX_ORIGIN), AfterValidator(_origin), described(ORIGIN, format="uri")]
Chosen = Annotated[
    list[Annotated[EventType, Field(strict=False)]],
    Field(max_length=len(EventType), json_schema_extra={"uniqueItems": True}),
    AfterValidator(_each_once),
]


class AccountChange(Incoming):
    """The choice of optional events, and what may show the portal."""

    events: Chosen
    """All optional events to receive from now on; an empty list for none. Every account receives two more events."""
    frame_origin: FrameOrigin | None = None
    """The origin whose pages may show the customer portal in a frame. `null`: no page may. If left out, it stays."""


class AccountBody(Outgoing):
    """The account."""

    id: AccountIdField
    name: str
    """The name that the operator gave it."""
    state: Literal[AccountState.ACTIVE, AccountState.SUSPENDED]
    """While the account is `SUSPENDED`, calls to its bookings are refused, and only this operation answers."""
    suspended_at: Instant | None
    """When the operator suspended the account. `null`: it is active."""
    events: list[EventType]
    """The optional events that its callbacks report. Every account receives two more events."""
    frame_origin: str | None
    """The origin whose pages may show the customer portal in a frame. `null`: no page may."""
    created_at: Instant
    max_bookings: Count
    """How many bookings the account may hold, together with its numbers in quarantine."""
    bookings_held: Count
    """How many bookings the account holds, including expired ones that can still be renewed."""
    numbers_in_quarantine: Count
    """How many numbers of bookings that are gone are still in quarantine. They count as bookings until then."""
    max_new_bookings_a_day: Count | None
    """How many bookings the account may make within any 24 hours. `null`: a sandbox has no such limit."""
    new_bookings_last_day: Count
    """How many bookings the account has made within the last 24 hours, including those that are gone."""
    max_calls_at_once: Count
    """How many calls may be up at the same time on all bookings of the account, ringing ones included."""
    calls_up: Count
    """How many calls are up on all bookings of the account, ringing ones included."""


async def show(request: web.Request) -> web.Response:
    """Answers with the account."""
    return json_answer(await _account(request))


async def change(request: web.Request) -> web.Response:
    """Changes the optional events, and the frame's origin if it is sent."""
    body = await read_body(request, AccountChange)
    account_id = request[ACCOUNT_ID]

    def store(tx: Transaction) -> None:
        notifications.choose_events(tx, account_id, body.events)
        if "frame_origin" in body.model_fields_set:
            tx.accounts.set_frame_origin(account_id, body.frame_origin)

    await request.app[DEPENDENCIES].run(store)
    return json_answer(await _account(request))


async def _account(request: web.Request) -> AccountBody:
    deps = request.app[DEPENDENCIES]
    account = await deps.reads.account(request[ACCOUNT_ID], deps.policy.account_limits, now_of(request))
    limits = account.limits
    return AccountBody(
        id=account.id,
        name=account.name,
        state=AccountState.ACTIVE if account.suspended_at is None else AccountState.SUSPENDED,
        suspended_at=None if account.suspended_at is None else rfc3339(account.suspended_at),
        events=account.events,
        frame_origin=account.frame_origin,
        created_at=rfc3339(account.created_at),
        max_bookings=limits.max_bookings,
        bookings_held=account.bookings_held,
        numbers_in_quarantine=account.numbers_in_quarantine,
        max_new_bookings_a_day=None if SANDBOX in request else limits.new_bookings_a_day,
        new_bookings_last_day=account.new_bookings,
        max_calls_at_once=limits.calls_at_once,
        calls_up=account.calls_up,
    )


TAG = "Account"

ROUTES = (
    Route(
        "GET",
        "/account",
        show,
        Operation(
            "getAccount",
            TAG,
            "See your account",
            answers={200: AccountBody},
            detail="The only operation that serves a suspended account too.",
        ),
        while_suspended=True,
    ),
    Route(
        "PUT",
        "/account",
        change,
        Operation(
            "changeAccount",
            TAG,
            "Choose optional callbacks, and who may show the portal",
            answers={200: AccountBody},
            detail="The choice applies to events from now on. Repeating the request changes nothing.",
        ),
        body=AccountChange,
    ),
)
