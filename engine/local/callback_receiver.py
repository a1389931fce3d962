"""A receiver of callbacks on this machine, as a customer would write one: verifies signatures, knows doubles."""

import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

MAX_BODY = 64 * 1024
# So many ids of events are remembered, to know those that come again.
MAX_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class Received:
    """`why` it is not genuine, empty if it is. `again`: an event with that id came before. `text`: the body."""

    event_id: str
    why: str
    again: bool
    text: str

    @property
    def genuine(self) -> bool:
        return not self.why

    def as_record(self) -> dict[str, Any]:
        """What is not genuine may be no JSON: its text is left out."""
        body = json.loads(self.text) if self.genuine else None
        return {
            "webhookId": self.event_id,
            "genuine": self.genuine,
            "why": self.why or None,
            "again": self.again,
            "body": body,
        }


class CallbackReceiver:
    """Use as an async context manager; `listen` begins. `took` is called with each that came.

    `secrets` gives what may have signed them: asked for each, since it can be replaced while this listens.
    """

    def __init__(self, secrets: Callable[[], Awaitable[Sequence[str]]], took: Callable[[Received], None]) -> None:
        self._secrets = secrets
        self._took = took
        self._known: OrderedDict[str, None] = OrderedDict()
        application = web.Application(client_max_size=MAX_BODY)
        application.router.add_post("/{path:.*}", self._receive)
        self._runner = web.AppRunner(application, access_log=None)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def listen(self, port: int) -> None:
        """On 127.0.0.1. Raises OSError when the port is taken."""
        await web.TCPSite(self._runner, "127.0.0.1", port).start()

    @property
    def url(self) -> str:
        """What a booking's callback should be."""
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}/calls"

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        why = _fault(body, request, await self._secrets())
        # Shown on a terminal: what a stranger sends may move its cursor.
        event_id = _printable(request.headers.get("webhook-id", ""))
        text = body.decode(errors="replace") if not why else _printable(body.decode(errors="replace"))
        self._took(Received(event_id, why, not why and self._came_before(event_id), text))
        return web.Response(status=400 if why else 204)

    def _came_before(self, event_id: str) -> bool:
        again = event_id in self._known
        self._known[event_id] = None
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return again


def _fault(body: bytes, request: web.Request, secrets: Sequence[str]) -> str:
    """What the present secret finds wrong, if the one before it, where there is one, finds something wrong too."""
    return "" if "" in (faults := [_fault_by(secret, body, request) for secret in secrets]) else faults[0]


def _fault_by(secret: str, body: bytes, request: web.Request) -> str:
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError as error:
        return str(error)
    except ValueError:
        return "no JSON, or no signature that can be read"
    return ""


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
