"""Lists by keyset: a cursor says after which record the next page begins, so that records which are added or
go away in between are neither repeated nor make others be skipped.

A cursor is base64url of versioned JSON. It is not signed: it can ask for nothing but another place in the
account's own list. Clients must not look inside; `version` is there to change it.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from aiohttp import hdrs, web

from api.http.parameters import limit_of
from api.http.problems import ProblemError
from api.http.responses import json_answer
from api.schemas.common import Outgoing, Page
from api.schemas.fields import CURSOR
from engine.domain.times import EpochMs
from engine.storage.cdrs import CdrPosition
from engine.storage.filters import EARLIEST, LATEST

VERSION = 1


class Record(Protocol):
    @property
    def id(self) -> str: ...


R = TypeVar("R", bound=Record)
B = TypeVar("B", bound=Outgoing)


@dataclass(frozen=True, slots=True)
class Listing:
    """A kind of list; a cursor of one is not taken by another. `id_pattern`: of its records' ids."""

    name: str
    id_pattern: re.Pattern[str]

    def cursor_after(self, record_id: str) -> str:
        return _cursor({"version": VERSION, "list": self.name, "after": record_id})

    def position_of(self, cursor: str) -> str:
        """The id after which the page begins. Raises ProblemError for what `cursor_after` never writes."""
        match _content(cursor):
            case {"after": str(record_id)} if self.id_pattern.fullmatch(record_id):
                if self.cursor_after(record_id) == cursor:
                    return record_id
        raise _not_ours()


@dataclass(frozen=True, slots=True)
class CallListing:
    """A list of calls in the order in which they came in: a place has an instant, and an id where several share it."""

    name: str
    id_pattern: re.Pattern[str]

    def cursor_after(self, place: CdrPosition) -> str:
        return _cursor({"version": VERSION, "list": self.name, "at": place.started_at, "after": place.id})

    def position_of(self, cursor: str) -> CdrPosition:
        """Raises ProblemError for what `cursor_after` never writes."""
        match _content(cursor):
            case {"at": int(at), "after": str(record_id)} if self.id_pattern.fullmatch(record_id):
                place = CdrPosition(EpochMs(int(at)), record_id)  # `true` is an int too, and never written
                if EARLIEST <= at <= LATEST and self.cursor_after(place) == cursor:
                    return place
        raise _not_ours()


@dataclass(frozen=True, slots=True)
class PageRequest:
    """`after_id`: the last record of the page before."""

    limit: int
    after_id: str | None

    @property
    def at_most(self) -> int:
        """One more than is shown says whether there is more."""
        return self.limit + 1


def page_request(request: web.Request, listing: Listing) -> PageRequest:
    """Raises ProblemError."""
    cursor = request.query.get("cursor")
    after_id = None if cursor is None else listing.position_of(cursor)
    return PageRequest(limit_of(request), after_id)


def page_answer(
    request: web.Request,
    listing: Listing,
    asked: PageRequest,
    records: Sequence[R],
    body_of: Callable[[R], B],
    *,
    goes_on_after: str | None = None,
) -> web.Response:
    """`records`: up to `asked.at_most`. `goes_on_after`: where the next page begins although these are fewer."""
    shown = records[: asked.limit]
    last_id = shown[-1].id if len(records) > asked.limit else goes_on_after
    next_cursor = None if last_id is None else listing.cursor_after(last_id)
    return answer_page(request, [body_of(record) for record in shown], next_cursor)


def answer_page(request: web.Request, bodies: list[B], next_cursor: str | None) -> web.Response:
    """The link to the next page keeps the request's other parameters."""
    # Not Page[B]: pydantic would make that class, which nothing else holds, again and again.
    page: Page[B] = Page(data=bodies, has_more=next_cursor is not None, next_cursor=next_cursor)
    headers: dict[str, str] = {}
    if next_cursor is not None:
        following = request.rel_url.update_query(cursor=next_cursor)
        headers[hdrs.LINK] = f'<{following}>; rel="next"'
    return json_answer(page, headers=headers)


def _cursor(content: dict[str, Any]) -> str:
    text = json.dumps(content, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _content(cursor: str) -> object:
    """None: no cursor at all."""
    if not CURSOR.fullmatch(cursor):
        return None
    try:
        return json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_"))
    except (binascii.Error, ValueError, RecursionError):
        return None


def _not_ours() -> ProblemError:
    return ProblemError("invalid_cursor", "Take cursors from `nextCursor` of the same list, as they are.")
