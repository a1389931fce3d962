"""Reads the status of an answer that aiohttp rejects.

A receiver that sends a status line has answered, even if a header is too long, a Content-Length is wrong or the body is
no body. aiohttp reads a head as a whole and drops the status with it; no setting changes that. So the same bytes also
come here. This reader needs only the status line and `Retry-After` (RFC 9112, section 8: an incomplete answer counts if
its status does not rely on the headers that are missing).
"""

import re
from contextvars import ContextVar

# RFC 9112, section 4. In addition: any letter case, any version, and more than one blank.
_STATUS_LINE = re.compile(rb"HTTP/[0-9](?:\.[0-9])?[ \t]+([1-9][0-9]{2})(?:[ \t].*)?", re.IGNORECASE | re.DOTALL)
_RETRY_AFTER = re.compile(rb"retry-after:(.*)", re.IGNORECASE | re.DOTALL)


class AnswerHead:
    """Takes the bytes of an answer as they arrive. The caller limits how many these are.

    Attributes:
        status: The final status; None until its line is complete, or if there is none that can be read.
        retry_after: The first `Retry-After` header of the final answer, as it was sent.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        self.retry_after: str | None = None
        self._line = bytearray()
        self._interim = False
        self._done = False

    def feed(self, data: bytes) -> None:
        """Reads the lines that `data` completes. Ignores everything after the head."""
        if self._done:
            return
        begun, *rest = data.split(b"\n")
        self._line += begun
        for begun in rest:
            self._take(bytes(self._line).removesuffix(b"\r"))
            if self._done:
                return
            self._line = bytearray(begun)

    def _take(self, line: bytes) -> None:
        if self._interim:
            self._interim = line != b""
        elif self.status is None:
            self._take_status(line)
        elif not line:
            self._done = True
        elif self.retry_after is None and (header := _RETRY_AFTER.fullmatch(line)):
            self.retry_after = header[1].decode("latin-1").strip(" \t")

    def _take_status(self, line: bytes) -> None:
        if not line:
            return  # RFC 9112, section 2.2: blank lines before a message are ignored
        found = _STATUS_LINE.fullmatch(line)
        if found is None:
            self._done = True
            return
        status = int(found[1])
        # 101 is final: nobody asked for another protocol.
        if status < 200 and status != 101:
            self._interim = True
        else:
            self.status = status


# The head of the attempt in this task. aiohttp returns no connection when it rejects an answer, so the connection gets
# the reader from here.
CURRENT_HEAD: ContextVar[AnswerHead | None] = ContextVar("CURRENT_HEAD", default=None)
