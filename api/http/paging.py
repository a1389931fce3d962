"""Pages of lists by keyset pagination.

A cursor holds the last record of a page, and the next page begins after it. So records that are added or removed in
between are not repeated and do not make the next page skip others.

A cursor is base64url of versioned JSON. It is not signed, because it can only select another place in the account's
own list. Clients must not read it; `version` allows a change of the format.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from aiohttp import hdrs, web

from api.http.parsing import limit_of
from api.http.problems import ProblemError
from api.http.responses import json_answer
from api.schemas.common import Outgoing, Page
from api.schemas.fields import CURSOR, INVALID_CURSOR
from engine.domain.times import EpochMs
from engine.storage.cdrs import CdrPosition
from engine.storage.filters import EARLIEST, LATEST

VERSION = 1


class Record(Protocol):
    """A record that a cursor can name by its id."""

    @property
    def id(self) -> str:
        """The id that a cursor names."""


R = TypeVar("R", bound=Record)
B = TypeVar("B", bound=Outgoing)


@dataclass(frozen=True, slots=True)
class Listing:
    """A kind of list. It refuses the cursors of other kinds.

    Attributes:
        name: The name that its cursors hold.
        id_pattern: What the ids of its records look like.
    """

    name: str
    id_pattern: re.Pattern[str]

    def cursor_after(self, record_id: str) -> str:
        """Returns the cursor of the page that begins after a record."""
        return _cursor({"version": VERSION, "list": self.name, "after": record_id})

    def position_of(self, cursor: str) -> str:
        """Returns the id after which the page begins. Raises ProblemError unless `cursor_after` made the cursor."""
        position = self._position_of(cursor)
        if position is None:
            raise _invalid_cursor()
        return position

    def is_cursor(self, text: str) -> bool:
        """Whether `cursor_after` can have made this text."""
        return self._position_of(text) is not None

    def _position_of(self, cursor: str) -> str | None:
        match _content(cursor):
            case {"after": str(record_id)} if self.id_pattern.fullmatch(record_id):
                if self.cursor_after(record_id) == cursor:
                    return record_id
        return None


@dataclass(frozen=True, slots=True)
class CallListing:
    """A list of calls in the order in which they came in. A position is an instant, and an id for calls that share it.

    Attributes:
        name: The name that its cursors hold.
        id_pattern: What the ids of its records look like.
    """

    name: str
    id_pattern: re.Pattern[str]

    def cursor_after(self, place: CdrPosition) -> str:
        """Returns the cursor of the page that begins after a record."""
        return _cursor({"version": VERSION, "list": self.name, "at": place.started_at, "after": place.id})

    def position_of(self, cursor: str) -> CdrPosition:
        """Returns where the page begins. Raises ProblemError unless `cursor_after` made the cursor."""
        match _content(cursor):
            case {"at": int(at), "after": str(record_id)} if self.id_pattern.fullmatch(record_id):
                place = CdrPosition(EpochMs(int(at)), record_id)  # `int`: `true` is an int too
                if EARLIEST <= at <= LATEST and self.cursor_after(place) == cursor:
                    return place
        raise _invalid_cursor()


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page a client asks for.

    Attributes:
        limit: How many records the page may have.
        after_id: The last record of the previous page; None for the first page.
    """

    limit: int
    after_id: str | None

    @property
    def read_limit(self) -> int:
        """How many records to read: one more than the page has, to learn whether there is a next page."""
        return self.limit + 1


def requested_page(request: web.Request, listing: Listing) -> PageRequest:
    """Reads `limit` and `cursor`. Raises ProblemError if one of them is invalid."""
    cursor = request.query.get("cursor")
    after_id = None if cursor is None else listing.position_of(cursor)
    return PageRequest(limit_of(request), after_id)


def page_answer(
    request: web.Request,
    listing: Listing,
    page: PageRequest,
    records: Sequence[R],
    body_of: Callable[[R], B],
    *,
    goes_on_after: str | None = None,
) -> web.Response:
    """Answers with a page.

    Args:
        request: The request.
        listing: The kind of list.
        page: Which page the request asks for.
        records: Up to `page.read_limit` records.
        body_of: Makes the JSON of a record.
        goes_on_after: The id after which the next page begins although there are fewer records; None if there are no
            more.
    """
    shown = records[: page.limit]
    last_id = shown[-1].id if len(records) > page.limit else goes_on_after
    next_cursor = None if last_id is None else listing.cursor_after(last_id)
    return answer_page(request, [body_of(record) for record in shown], next_cursor)


def answer_page(request: web.Request, bodies: list[B], next_cursor: str | None) -> web.Response:
    """Answers with a page. The link to the next one keeps the request's other parameters."""
    # Not Page[B]: pydantic would build that class again for each answer, because nothing keeps it.
    body: Page[B] = Page(data=bodies, has_more=next_cursor is not None, next_cursor=next_cursor)
    headers: dict[str, str] = {}
    if next_cursor is not None:
        following = request.rel_url.update_query(cursor=next_cursor)
        headers[hdrs.LINK] = f'<{following}>; rel="next"'
    return json_answer(body, headers=headers)


def _cursor(content: dict[str, Any]) -> str:
    text = json.dumps(content, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _content(cursor: str) -> object:
    """Decodes a cursor; None if it is not one."""
    if not CURSOR.fullmatch(cursor):
        return None
    try:
        return json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_"))
    except (binascii.Error, ValueError, RecursionError):
        return None


def _invalid_cursor() -> ProblemError:
    return ProblemError("invalid_cursor", INVALID_CURSOR)
