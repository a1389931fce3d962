"""/portal-links: links that open the account's portal, once."""

from typing import Annotated

from aiohttp import web
from pydantic import Field

from api.http.client_ip import scheme_of
from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES, machine_timestamp
from api.http.parsing import read_body
from api.http.responses import json_answer
from api.http.routes import Operation, Route
from api.schemas.common import Incoming, Outgoing
from api.schemas.fields import WHOLE, Instant, described
from engine.accounts.sign_in import make_link, portal_url
from engine.domain.times import EpochMs, rfc3339
from engine.domain.web_access import CUSTOMER_LINK_MS, IDLE_MS, Scope

SHORTEST_SECONDS, LONGEST_SECONDS, DEFAULT_SECONDS = 60, 12 * 3_600, 3_600


class NewPortalLink(Incoming):
    """What the link permits, and for how long."""

    # Not strict: see `Plan` in `api.schemas.fields`.
    scope: Annotated[Scope, Field(strict=False)]
    """`read`: only see. `full`: also act, with everything that the portal can do."""
    session_seconds: Annotated[int, Field(ge=SHORTEST_SECONDS, le=LONGEST_SECONDS), WHOLE] = DEFAULT_SECONDS
    """Seconds from now until the session ends. It ends earlier if it is not used for half an hour."""


class PortalLinkBody(Outgoing):
    """A link. It is shown once, and signs in the first person who opens it."""

    url: Annotated[str, described(format="uri")]
    """The address to open, in a browser or in a frame. Its host is the one to which you sent the request."""
    scope: Scope
    use_before: Instant
    """The link works once, and only before this time."""
    session_ends_at: Instant


async def create(request: web.Request) -> web.Response:
    """Makes a link."""
    deps, account_id = request.app[DEPENDENCIES], request[ACCOUNT_ID]
    body = await read_body(request, NewPortalLink)
    now = machine_timestamp(request).wall_ms
    life_ms = body.session_seconds * 1000
    made = await deps.run(make_link, body.scope.role, account_id, life_ms, deps.pepper, now)
    answer = PortalLinkBody(
        url=portal_url(f"{scheme_of(request)}://{request.host}", account_id, made.code),
        scope=body.scope,
        use_before=rfc3339(EpochMs(made.use_before)),
        session_ends_at=rfc3339(EpochMs(made.ends_at)),
    )
    return json_answer(answer)


ROUTES = (
    Route(
        "POST",
        "/portal-links",
        create,
        Operation(
            "createPortalLink",
            "Portal",
            "Make a link to the portal",
            answers={200: PortalLinkBody},
            detail=f"The link works once, within {CUSTOMER_LINK_MS // 60_000} minutes. Its session ends at "
            f"`sessionEndsAt`, or earlier if it is not used for {IDLE_MS // 60_000} minutes. A sandbox key makes "
            "a link to the sandbox's portal.",
        ),
        body=NewPortalLink,
    ),
)
