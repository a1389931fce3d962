"""The shape of the route table's lines. Each resource has its own lines, `api.app` puts them together.

A line is all there is to say of an operation: requests are served by it and /openapi.json is made of it.
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
    """What is said of a line, and what it answers.

    `answers`: body by status; None: no body. `problems`: codes that only what it does can refuse with, beside those
    that its kind of route refuses with anyway (`api.openapi.refusals`). `creates`: the path of what a 201 has made.
    `streams`: the media type of a 200 that is text, sent as it is made.
    """

    id: str
    tag: str
    summary: str
    answers: Mapping[int, type[BaseModel] | None] = field(hash=False)
    problems: tuple[str, ...] = ()
    creates: str = ""
    detail: str = ""
    streams: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """`parameters`: the query parameters that it takes, every other is refused. `body`: what it takes as a body, None:
    none. `placeholders`: what the path's take; anything else is not found. `keyed`: may come with an `Idempotency-Key`.
    `public`: needs no API key. `test`: needs one to a test world.

    One handler stands in one line only: the handler is how a request finds its line again.
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


ROUTES_BY_HANDLER = web.AppKey("ROUTES_BY_HANDLER", dict[Handler, Route])
