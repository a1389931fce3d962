"""The shape of the route table's lines. Each resource has its own lines, `api.app` puts them together."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from api.schemas import Incoming

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """`parameters`: the query parameters that it takes, every other is refused. `body`: what it takes as a body, None:
    none. `public`: needs no API key. Tests try each route with what is not its own, and with wrong bodies, from these.

    One handler stands in one line only: the handler is how a request finds its line again.
    """

    method: str
    path: str
    handler: Handler
    parameters: frozenset[str] = frozenset()
    body: type[Incoming] | None = None
    public: bool = False


ROUTES_BY_HANDLER = web.AppKey("ROUTES_BY_HANDLER", dict[Handler, Route])
