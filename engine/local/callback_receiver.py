"""A receiver of callbacks on this machine, as a customer would write one: verifies signatures, detects redeliveries."""

import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

MAX_BODY = 64 * 1024
# Number of event ids that are remembered to detect redeliveries.
MAX_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class Received:
    """A request that came in.

    Attributes:
        event_id: The header webhook-id, made printable.
        fault: Why the request is not genuine; None if it is.
        is_repeat: Whether a genuine event with this id came before.
        text: The body; made printable if the request is not genuine.
    """

    event_id: str
    fault: str | None
    is_repeat: bool
    text: str

    @property
    def genuine(self) -> bool:
        """Whether the signature is valid."""
        return self.fault is None

    def as_record(self) -> dict[str, Any]:
        """Returns the request as JSON output. The body of a request that is not genuine is left out."""
        body = json.loads(self.text) if self.genuine else None
        return {
            "webhookId": self.event_id,
            "genuine": self.genuine,
            "why": self.fault,
            "again": self.is_repeat,
            "body": body,
        }


class CallbackReceiver:
    """An HTTP server for callbacks. Use it as an async context manager, then call `listen`."""

    def __init__(
        self, secrets: Callable[[], Awaitable[Sequence[str]]], on_received: Callable[[Received], None]
    ) -> None:
        """Prepares a receiver.

        Args:
            secrets: Returns the secrets that are valid now, the present one first. Called for every request, because a
                secret can be replaced while the receiver runs.
            on_received: Called with every request.
        """
        self._secrets = secrets
        self._on_received = on_received
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
        """Listens on 127.0.0.1.

        Raises:
            OSError: The port is taken.
        """
        await web.TCPSite(self._runner, "127.0.0.1", port).start()

    @property
    def url(self) -> str:
        """The URL to use as a booking's callback."""
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}/calls"

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        fault = _fault(body, request, await self._secrets())
        # The output goes to a terminal, where control characters of a forged request could do harm.
        event_id = _printable(request.headers.get("webhook-id", ""))
        text = body.decode(errors="replace")
        if fault is not None:
            self._on_received(Received(event_id, fault, is_repeat=False, text=_printable(text)))
            return web.Response(status=400)
        self._on_received(Received(event_id, None, self._came_before(event_id), text))
        return web.Response(status=204)

    def _came_before(self, event_id: str) -> bool:
        is_repeat = event_id in self._known
        self._known[event_id] = None
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return is_repeat


def _fault(body: bytes, request: web.Request, secrets: Sequence[str]) -> str | None:
    """Returns None if any of the secrets verifies the request, otherwise what the first one finds wrong."""
    faults = [_fault_by(secret, body, request) for secret in secrets]
    return None if None in faults else faults[0]


def _fault_by(secret: str, body: bytes, request: web.Request) -> str | None:
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError as error:
        return str(error)
    except ValueError:
        return "the body is not JSON, or the signature cannot be read"
    return None


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
