"""The types of the route table. Each resource has its own routes, and `api.app` puts them together.

A route says everything about an operation: requests are served by it, and /openapi.json is made from it.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web
from pydantic import BaseModel

from api.schemas.common import Incoming

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Operation:
    """The description of an operation and of its answers.

    Attributes:
        id: The operationId.
        tag: The group of operations that it belongs to.
        summary: Its title.
        answers: The body of each status; None if there is no body.
        problems: Codes of refusals that are specific to the operation; `api.openapi.refusals` adds the common ones.
        creates: The path of the resource that a 201 creates; None if it creates none.
        detail: What the summary does not say; None if it says all.
        streams: The media type of an answer that is streamed as text; None for other answers.
        pictures: The media types of an answer that is a picture.
    """

    id: str
    tag: str
    summary: str
    answers: Mapping[int, type[BaseModel] | None] = field(hash=False)
    problems: tuple[str, ...] = ()
    creates: str | None = None
    detail: str | None = None
    streams: str | None = None
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """An operation: a method on a path.

    No two routes have the same handler, because a request finds its route by its handler.

    Attributes:
        method: The HTTP method. A GET is also served as HEAD.
        path: The path with its placeholders.
        handler: Serves the requests.
        operation: The description.
        parameters: The query parameters; all others are refused.
        body: The type of the request's body; None if it has none.
        placeholders: The pattern of each placeholder of the path; anything else is not found.
        keyed: Whether an `Idempotency-Key` is accepted.
        public: Whether no API key is needed.
        test: Whether a sandbox key is needed.
        while_suspended: Whether it serves suspended accounts too.
        counts: Whether it reads as many rows as there are, although it lists none.
        basic: Whether it takes the key as the password of HTTP Basic, whose user is the account.
    """

    method: str
    path: str
    handler: Handler
    operation: Operation
    parameters: frozenset[str] = frozenset()
    body: type[Incoming] | None = None
    placeholders: Mapping[str, re.Pattern[str]] = field(default_factory=dict, hash=False)
    keyed: bool = False
    public: bool = False
    test: bool = False
    while_suspended: bool = False
    counts: bool = False
    basic: bool = False

    @property
    def reads_many(self) -> bool:
        """Whether it reads many rows. An account has one such request at a time."""
        return self.counts or "cursor" in self.parameters


ROUTES_BY_HANDLER = web.AppKey("ROUTES_BY_HANDLER", dict[Handler, Route])
