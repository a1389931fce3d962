"""/account: what the asker's own account is, and which further events it wants to be told of."""

from typing import Annotated

from aiohttp import web
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES
from api.http.parsing import read_body
from api.http.responses import json_answer
from api.http.routes import Operation, Route
from api.schemas.common import Incoming, Outgoing
from api.schemas.fields import AccountIdField, Count, Instant
from engine.callbacks import notifications
from engine.domain.events import EventType
from engine.domain.times import rfc3339


def _each_once(events: list[EventType]) -> list[EventType]:
    if len(set(events)) < len(events):
        raise PydanticCustomError("not_unique", "has an event twice")
    return events


# Not strict: as in api.fields.
Chosen = Annotated[
    list[Annotated[EventType, Field(strict=False)]],
    Field(max_length=len(EventType), json_schema_extra={"uniqueItems": True}),
    AfterValidator(_each_once),
]


class AccountChange(Incoming):
    events: Chosen
    """All that are wanted from now on, beside the two that everybody is told of. Empty: none."""


class AccountBody(Outgoing):
    id: AccountIdField
    name: str
    """As the operator has named it."""
    events: list[EventType]
    """What its callbacks are told of beside the two that everybody is told of."""
    created_at: Instant
    max_bookings: Count
    """How many bookings it may hold."""
    bookings_held: Count
    """Those in their grace too."""


async def show(request: web.Request) -> web.Response:
    return json_answer(await _account(request))


async def change(request: web.Request) -> web.Response:
    wanted = await read_body(request, AccountChange)
    await request.app[DEPENDENCIES].run(notifications.choose_events, request[ACCOUNT_ID], wanted.events)
    return json_answer(await _account(request))


async def _account(request: web.Request) -> AccountBody:
    deps = request.app[DEPENDENCIES]
    # It holds more than it may only where the operator has lowered that since.
    account = await deps.reads.account(request[ACCOUNT_ID], at_most=2 * deps.policy.max_bookings)
    return AccountBody(
        id=account.id,
        name=account.name,
        events=account.events,
        created_at=rfc3339(account.created_at),
        max_bookings=deps.policy.max_bookings,
        bookings_held=account.bookings_held,
    )


TAG = "Account"

ROUTES = (
    Route("GET", "/account", show, Operation("getAccount", TAG, "See your account", answers={200: AccountBody})),
    Route(
        "PUT",
        "/account",
        change,
        Operation(
            "changeAccount",
            TAG,
            "Choose what callbacks tell",
            answers={200: AccountBody},
            detail="Sent twice, it changes nothing. What is chosen is told of what happens from now on.",
        ),
        body=AccountChange,
    ),
)
