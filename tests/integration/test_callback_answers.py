"""The status line decides what an attempt is worth, whatever follows it. Over real sockets, byte for byte.

RFC 9112, 8: an answer that is cut in its headers still counts if its status does not rely on them. RFC 9112, 2.2 and 4:
what precedes the status code may be read leniently.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trustme

from engine.callbacks.connector import MAX_ANSWER_BYTES
from engine.domain.retry import AttemptOutcome, HttpAnswer, NoAnswer, Trouble
from tests.integration.callback_sending import TLS, send

MALFORMED = NoAnswer(Trouble.MALFORMED)
CONNECTION = NoAnswer(Trouble.CONNECTION)
OK = b"HTTP/1.1 200 OK\r\n"
END = b"\r\n\r\n"


@asynccontextmanager
async def answering(answer: bytes, *, stay: bool = False, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Answers every request with these bytes, and closes. `stay`: keeps the connection open instead."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(END)
        length = next(int(line[16:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: "))
        await reader.readexactly(length)
        writer.write(answer)
        if stay:
            await gone.wait()
        writer.close()

    gone = asyncio.Event()
    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
    scheme = "https" if tls else "http"
    try:
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        gone.set()
        server.close()
        await asyncio.sleep(0)  # in which `talk` ends


async def outcome_of(answer: bytes, *, stay: bool = False, timeout_ms: int = 5_000) -> AttemptOutcome:
    async with answering(answer, stay=stay) as url:
        return await send(url, timeout_ms=timeout_ms)


# What follows a status line, or how it is written: none of it makes the status another one.
ODD: dict[str, Callable[[bytes], bytes]] = {
    "a header of 9,000 bytes": lambda status: b"HTTP/1.1 " + status + b" X\r\nA: " + b"b" * 9_000 + END,
    "a header of 60,000 bytes": lambda status: b"HTTP/1.1 " + status + b" X\r\nA: " + b"b" * 60_000 + END,
    "a header name of 9,000 bytes": lambda status: b"HTTP/1.1 " + status + b" X\r\n" + b"a" * 9_000 + b": b" + END,
    "a reason of 9,000 bytes": lambda status: b"HTTP/1.1 " + status + b" " + b"x" * 9_000 + END,
    "129 headers": lambda status: b"HTTP/1.1 " + status + b" X\r\n" + b"A: b\r\n" * 129 + b"\r\n",
    "5,000 headers": lambda status: b"HTTP/1.1 " + status + b" X\r\n" + b"A: b\r\n" * 5_000 + b"\r\n",
    "two equal Content-Lengths": lambda status: (
        b"HTTP/1.1 " + status + b" X\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"
    ),
    "two different Content-Lengths": lambda status: (
        b"HTTP/1.1 " + status + b" X\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"
    ),
    "a Content-Length that is no number": lambda status: b"HTTP/1.1 " + status + b" X\r\nContent-Length: two\r\n\r\nok",
    "a Content-Length below 0": lambda status: b"HTTP/1.1 " + status + b" X\r\nContent-Length: -1\r\n\r\n",
    "a Content-Length of 30 digits": lambda status: b"HTTP/1.1 " + status + b" X\r\nContent-Length: " + b"9" * 30 + END,
    "Content-Length beside chunks": lambda status: (
        b"HTTP/1.1 " + status + b" X\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "chunks that are none": lambda status: b"HTTP/1.1 " + status + b" X\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n",
    "an unknown transfer encoding": lambda status: b"HTTP/1.1 " + status + b" X\r\nTransfer-Encoding: rot13\r\n\r\nx",
    "a body shorter than it says": lambda status: b"HTTP/1.1 " + status + b" X\r\nContent-Length: 9\r\n\r\nok",
    "more than the body": lambda status: b"HTTP/1.1 " + status + b" X\r\nContent-Length: 2\r\n\r\nok, and more",
    "a body without a length": lambda status: b"HTTP/1.1 " + status + b" X\r\n\r\nhello",
    "http in lower case": lambda status: b"http/1.1 " + status + b" X" + END,
    "HTTP/1.0": lambda status: b"HTTP/1.0 " + status + b" X" + END,
    "HTTP/0.9": lambda status: b"HTTP/0.9 " + status + b" X" + END,
    "HTTP/2": lambda status: b"HTTP/2 " + status + END,
    "HTTP/3.7": lambda status: b"HTTP/3.7 " + status + b" X" + END,
    "no reason": lambda status: b"HTTP/1.1 " + status + END,
    "an empty reason": lambda status: b"HTTP/1.1 " + status + b" " + END,
    "two blanks and a tab": lambda status: b"HTTP/1.1  \t" + status + b"  X" + END,
    "a reason in Latin-1": lambda status: b"HTTP/1.1 " + status + b" Termin\xe9" + END,
    "a NUL in the reason": lambda status: b"HTTP/1.1 " + status + b" a\0b" + END,
    "bare line feeds": lambda status: b"HTTP/1.1 " + status + b" X\nA: b\n\n",
    "blank lines first": lambda status: b"\r\n\r\n\nHTTP/1.1 " + status + b" X" + END,
    "a header without a colon": lambda status: b"HTTP/1.1 " + status + b" X\r\nhello" + END,
    "a header without a name": lambda status: b"HTTP/1.1 " + status + b" X\r\n: b" + END,
    "a blank before the colon": lambda status: b"HTTP/1.1 " + status + b" X\r\nA : b" + END,
    "a folded header": lambda status: b"HTTP/1.1 " + status + b" X\r\nA: b\r\n c" + END,
    "a folded first header": lambda status: b"HTTP/1.1 " + status + b" X\r\n A: b" + END,
    "a NUL in a header": lambda status: b"HTTP/1.1 " + status + b" X\r\nA: b\0c" + END,
    "a bare CR in a header": lambda status: b"HTTP/1.1 " + status + b" X\r\nA: b\rc" + END,
    "a header not in UTF-8": lambda status: b"HTTP/1.1 " + status + b" X\r\nA: \xff\xfe" + END,
    "two Hosts, two Dates": lambda status: (
        b"HTTP/1.1 " + status + b" X\r\nHost: a\r\nHost: b\r\nServer: a\r\nServer: b\r\nETag: a\r\nETag: b" + END
    ),
    "an upgrade": lambda status: b"HTTP/1.1 " + status + b" X\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nPRI",
    "a body that is said to be packed": lambda status: b"HTTP/1.1 " + status + b" X\r\nContent-Encoding: gzip\r\n\r\nx",
    "a Set-Cookie that is none": lambda status: b"HTTP/1.1 " + status + b" X\r\nSet-Cookie: =;=\r\n\r\n",
    "a Location that is none": lambda status: b"HTTP/1.1 " + status + b" X\r\nLocation: http://[\r\n\r\n",
    "cut in the headers": lambda status: b"HTTP/1.1 " + status + b" X\r\nA: b",
    "cut after the status line": lambda status: b"HTTP/1.1 " + status + b" X\r\n",
    "an odd interim answer first": lambda status: (
        b"HTTP/1.1 103 Early\r\nA: " + b"b" * 9_000 + b"\r\nno colon\r\n\r\nHTTP/1.1 " + status + b" X" + END
    ),
}
STATUSES = [b"200", b"204", b"301", b"304", b"404", b"410", b"500"]


@pytest.mark.parametrize("odd", ODD)
async def test_the_status_counts_whatever_else_is_odd_in_the_answer(odd: str) -> None:
    outcomes = {status: await outcome_of(ODD[odd](status)) for status in STATUSES}
    assert outcomes == {status: HttpAnswer(int(status)) for status in STATUSES}


async def test_the_status_counts_over_tls() -> None:
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    async with answering(ODD["129 headers"](b"200"), tls=server) as url:
        assert await send(url, tls=client) == HttpAnswer(200)
        assert await send(url, tls=TLS) == NoAnswer(Trouble.TLS)


@pytest.mark.parametrize("name", [b"Retry-After", b"retry-after", b"RETRY-AFTER"])
@pytest.mark.parametrize("status", [429, 503])
async def test_a_wait_is_read_from_an_odd_answer_too(status: int, name: bytes) -> None:
    head = b"http/1.1 %d X\r\nA: b\r\n%s:\t17 \r\nno colon\r\n" % (status, name)
    for answer in (head + b"\r\n", head, head + b"%s: 18" % name + END):
        assert await outcome_of(answer) == HttpAnswer(status, 17_000)
    assert await outcome_of(b"http/1.1 %d X\r\n%s: later" % (status, name) + END) == HttpAnswer(status)
    # Not a header of this answer: that of an interim one, of the body, or one cut in the middle.
    interim = b"HTTP/1.1 103 X\r\n%s: 17\r\n\r\n" % name
    for answer in (interim + b"http/1.1 %d X" % status + END, b"http/1.1 %d X\r\n\r\n%s: 17\r\n" % (status, name)):
        assert await outcome_of(answer) == HttpAnswer(status)
    assert await outcome_of(b"http/1.1 %d X\r\n%s: 1" % (status, name)) == HttpAnswer(status)


UNREADABLE = {
    "nothing": b"",
    "another protocol": b"SSH-2.0-OpenSSH_9\r\n",
    "an error page alone": b"<html>200 OK</html>\r\n\r\n",
    "no status": b"HTTP/1.1\r\n\r\n",
    "a status in words": b"HTTP/1.1 two hundred\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "a status in other digits": "HTTP/1.1 ٢٠٠ OK\r\n\r\n".encode(),
    "a status that begins with a sign": b"HTTP/1.1 +20 OK\r\n\r\n",
    "no blank before the status": b"HTTP/1.1200 OK\r\n\r\n",
    "a status line behind a header": b"Server: x\r\nHTTP/1.1 200 OK\r\n\r\n",
    "cut in the status": b"HTTP/1.1 20",
    "cut behind the status": b"HTTP/1.1 200",
    "cut in the reason": b"HTTP/1.1 200 O",
    "an interim answer alone": b"HTTP/1.1 100 Continue\r\n\r\n",
    "NULs": b"\0" * 99,
    "a TLS alert": b"\x15\x03\x03\x00\x02\x02\x28",
}


@pytest.mark.parametrize("unreadable", UNREADABLE)
async def test_only_a_status_line_that_is_missing_or_unreadable_is_no_answer(unreadable: str) -> None:
    assert await outcome_of(UNREADABLE[unreadable]) in (MALFORMED, CONNECTION)


async def test_the_answer_is_cut_at_its_size_also_before_a_status_line() -> None:
    assert await outcome_of(b"\r\n" * MAX_ANSWER_BYTES + OK + END, stay=True) == MALFORMED
    interim = b"HTTP/1.1 103 X\r\nA: " + b"b" * MAX_ANSWER_BYTES + END
    assert await outcome_of(interim + OK + END, stay=True) == MALFORMED


async def test_a_status_line_whose_headers_never_end_counts_when_the_time_is_up() -> None:
    assert await outcome_of(OK + b"A: b", stay=True, timeout_ms=300) == HttpAnswer(200)
    assert await outcome_of(b"HTTP/1.1 503 X\r\nRetry-After: 17\r\n", stay=True, timeout_ms=300) == HttpAnswer(
        503, 17_000
    )
    assert await outcome_of(b"HTTP/1.1 200 O", stay=True, timeout_ms=300) == NoAnswer(Trouble.TIMEOUT)
