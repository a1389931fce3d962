"""Lists: a page of records, and Twilio's `meta` with the address of the next page."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from api.http.client_ip import scheme_of
from engine.domain import twilio_webhooks
from engine.domain.times import EpochMs
from engine.domain.twilio_proxy import invalid

PARAMETERS = frozenset({"PageSize", "Page", "PageToken"})
# Of Twilio: the default, and the most that it returns whatever is asked for.
DEFAULT_SIZE, MAX_SIZE, MAX_ASKED = 50, 100, 1_000
_WHOLE = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class PageAsked:
    """Which page a client asks for.

    Attributes:
        size: How many records it may have.
        number: The client's number of it; it means nothing.
        token: Where it begins; None for the first page.
    """

    size: int
    number: int
    token: str | None


def page_asked(request: web.Request) -> PageAsked:
    """Reads which page is asked for. Raises ProxyRefusal."""
    size = _whole(request, "PageSize", DEFAULT_SIZE)
    if not 1 <= size <= MAX_ASKED:
        raise invalid("PageSize", f"a whole number from 1 to {MAX_ASKED}.")
    return PageAsked(min(size, MAX_SIZE), _whole(request, "Page", 0), request.query.get("PageToken"))


def page_answer(
    request: web.Request, key: str, page: PageAsked, bodies: Sequence[dict[str, Any]], next_token: str | None
) -> web.Response:
    """Answers with a page. `next_token`: where the next one begins; None after the last."""
    following = None
    if next_token is not None:
        query = f"PageSize={page.size}&Page={page.number + 1}&PageToken={next_token}"
        following = address(request, f"{request.path}?{query}")
    meta = {
        "page": page.number,
        "page_size": page.size,
        "first_page_url": address(request, f"{request.path}?PageSize={page.size}&Page=0"),
        "previous_page_url": None,
        "url": address(request, request.path_qs),
        "next_page_url": following,
        "key": key,
    }
    return web.json_response({"meta": meta, key: list(bodies)})


def address(request: web.Request, path: str) -> str:
    """The whole address of a path at the host to which the request was sent."""
    return f"{scheme_of(request)}://{request.host}{path}"


def iso(instant: EpochMs | None) -> str | None:
    """An instant as Twilio's clients read it."""
    return None if instant is None else twilio_webhooks.iso(instant)


def _whole(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not _WHOLE.fullmatch(text):
        raise invalid(name, "a whole number.")
    return int(text)
