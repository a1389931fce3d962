"""A callback receiver on 127.0.0.1, built on the standard library. It keeps all callbacks and answers 204."""

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from phones.errors import PhoneTimeoutError

MAX_BODY = 64 * 1024


@dataclass(frozen=True)
class Callback:
    """A received callback.

    Attributes:
        headers: By their names in lower case.
        body: The bytes as they were received.
        content: The parsed JSON.
    """

    headers: dict[str, str]
    body: bytes
    content: dict[str, Any]


class CallbackListener:
    """Receives callbacks inside its `with`. Use `url` as a booking's callback."""

    def __init__(self) -> None:
        self._received: list[Callback] = []
        self._changed = threading.Condition()
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), MAX_BODY))
                headers = {name.lower(): value for name, value in self.headers.items()}
                listener._take(Callback(headers, body, json.loads(body)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it so
                """Prints nothing; the base class prints each request."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/callback"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def received(self) -> list[Callback]:
        """Returns all callbacks so far, in the order of their arrival."""
        with self._changed:
            return list(self._received)

    def wait(self, count: int = 1, timeout: float = 10.0) -> list[Callback]:
        """Waits for `count` callbacks and returns all. Raises PhoneTimeoutError if they do not come in time."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while len(self._received) < count:
                if not self._changed.wait(deadline - time.monotonic()) and time.monotonic() >= deadline:
                    raise PhoneTimeoutError(f"{len(self._received)} of {count} callbacks within {timeout} s")
            return list(self._received)

    def _take(self, callback: Callback) -> None:
        with self._changed:
            self._received.append(callback)
            self._changed.notify_all()
