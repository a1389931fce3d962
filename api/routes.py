"""The shape of the route table's lines. Each resource has its own lines, `api.app` puts them together."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """`parameters`: the query parameters that it takes, every other is refused. `public`: needs no API key.

    One handler stands in one line only: the handler is how a request finds its line again.
    """

    method: str
    path: str
    handler: Handler
    parameters: frozenset[str] = frozenset()
    public: bool = False


ROUTES_BY_HANDLER = web.AppKey("ROUTES_BY_HANDLER", dict[Handler, Route])
