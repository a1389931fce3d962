"""Bounds the connections that last, such as event streams and WebSockets, and ends them when the server stops."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from api.http.dependencies import TIME_LIMIT
from api.http.problems import ProblemError


class LongConnections:
    """Counts the open connections of one kind.

    Args:
        limit: The most at once.
        refusal: What a client gets beyond it: a sentence.
        limit_of_owner: The most of one owner; None: as many as of all.

    Attributes:
        is_closing: Set when the server stops. Who holds a place waits for it, too.
    """

    def __init__(self, limit: int, refusal: str, *, limit_of_owner: int | None = None) -> None:
        self._limit = limit
        self._limit_of_owner = limit if limit_of_owner is None else limit_of_owner
        self._refusal = refusal
        self._of_owners = Counter[str]()
        self.is_closing = asyncio.Event()

    def __len__(self) -> int:
        return self._of_owners.total()

    @contextmanager
    def place(self, request: web.Request, owner: str = "") -> Iterator[None]:
        """Holds a place for a request, which may last from now on. Raises ProblemError if there is none."""
        if len(self) >= self._limit or self._of_owners[owner] >= self._limit_of_owner:
            raise ProblemError("overloaded", self._refusal)
        # The limit of other requests does not apply.
        request[TIME_LIMIT].reschedule(None)
        self._of_owners[owner] += 1
        try:
            yield
        finally:
            self._of_owners[owner] -= 1
            if not self._of_owners[owner]:
                del self._of_owners[owner]
