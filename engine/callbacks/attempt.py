"""One attempt to deliver one callback: a signed POST over a guarded socket → a typed outcome.

Every attempt has a connection of its own: nothing that an earlier one left behind (a dead kept-alive connection, a
cookie) decides over it, and every attempt's address is checked anew.
"""

import asyncio
import contextlib
import re
import ssl
from codecs import getincrementaldecoder
from dataclasses import dataclass

import aiohttp
import structlog
from yarl import URL

from engine.callbacks.connector import GuardedConnector, tls_of_this_machine
from engine.callbacks.signing import signature_headers
from engine.callbacks.ssrf import AddressForbidden, check_callback
from engine.domain.errors import CallbackNotAcceptable
from engine.domain.policy import CallbackRules
from engine.domain.retry import AttemptOutcome, HttpAnswer, NoAnswer, Trouble, parse_retry_after
from engine.domain.times import EpochMs
from engine.storage.outbox import Delivery

USER_AGENT = "rented-numbers-callbacks/1"
# Once the status is known the rest of the answer changes nothing; this long a receiver may take to finish it
# before the connection is closed on it.
ANSWER_BODY_SECONDS = 1.0
# So much of an answer's body is shown to the callback's owner.
SHOWN_BYTES = 1024
# What every callback says of itself, beside its signature.
HEADERS = {"Content-Type": "application/json", "User-Agent": USER_AGENT, "Accept-Encoding": "identity"}

# The bound may cut through a telephone number, and half of one would never be found by who has to erase it.
_CUT_NUMBER = re.compile(r"\+?[0-9]+\Z")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """`response`: the beginning of the answer's body as text, empty where there is none. It is the receiver's own, and
    can hold anything: never to be logged."""

    outcome: AttemptOutcome
    response: str = ""


def open_session(
    *, rules: CallbackRules, lookups_at_once: int, tls: ssl.SSLContext | None = None
) -> aiohttp.ClientSession:
    """The HTTP client of all attempts; to be closed by its owner. No proxies, cookies, .netrc or decompression.

    `tls`: whom to trust, by default the machine's own list of authorities.
    """
    return aiohttp.ClientSession(
        connector=GuardedConnector(rules, lookups_at_once=lookups_at_once, tls=tls or tls_of_this_machine()),
        connector_owner=True,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # attempt() has an exact one for all of it
    )


async def attempt(
    session: aiohttp.ClientSession, delivery: Delivery, *, now: EpochMs, timeout_ms: int, rules: CallbackRules
) -> AttemptResult:
    """Send it, and wait up to `timeout_ms` for the head of the answer. Raises nothing but CancelledError."""
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            response = await _send(session, delivery, now, rules)
    except Exception as error:  # whatever a receiver answers or a row holds, it must not end the worker
        trouble = _trouble(error)
        if trouble is Trouble.INTERNAL:
            # Its class alone: the text of an exception may hold the URL, the body or the secret.
            log.error("callback_attempt_broke", event_id=delivery.id, error=type(error).__name__)
        return AttemptResult(NoAnswer(trouble))
    outcome = HttpAnswer(response.status, _retry_after(response, now))
    return AttemptResult(outcome, _as_text(await _let_finish(response)))


async def _send(
    session: aiohttp.ClientSession, delivery: Delivery, now: EpochMs, rules: CallbackRules
) -> aiohttp.ClientResponse:
    check_callback(delivery.url, rules)  # the settings may have changed since it was booked
    return await session.post(
        URL(delivery.url, encoded=True),  # as the customer wrote it: decoding `%2F` breaks a signed URL
        data=delivery.body.encode(),
        headers=HEADERS | signature_headers(delivery.id, delivery.secrets.valid_at(now), delivery.body, now),
        allow_redirects=False,
    )


async def _let_finish(response: aiohttp.ClientResponse) -> bytes:
    """Read what is left of the answer, within bounds, so that a well-behaved receiver sees no broken connection.

    Its beginning.
    """
    beginning = bytearray()
    with contextlib.suppress(Exception):  # nothing that goes wrong here changes the outcome any more
        async with asyncio.timeout(ANSWER_BODY_SECONDS):
            while chunk := await response.content.readany():
                beginning += chunk[: SHOWN_BYTES - len(beginning)]
    response.close()
    return bytes(beginning)


def _as_text(body: bytes) -> str:
    """UTF-8 or what can be read as that, without a letter that the end cut through, and nothing that moves a cursor."""
    text = getincrementaldecoder("utf-8")("replace").decode(body)
    if len(body) == SHOWN_BYTES:
        text = _CUT_NUMBER.sub("", text)
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for letter in text.replace("\r\n", "\n")
    )


def _retry_after(response: aiohttp.ClientResponse, now: EpochMs) -> int | None:
    value = response.headers.get("Retry-After")
    return None if value is None else parse_retry_after(value, now)


# The first that fits.
_TROUBLES: tuple[tuple[type[Exception], Trouble], ...] = (
    (TimeoutError, Trouble.TIMEOUT),
    (CallbackNotAcceptable, Trouble.FORBIDDEN),
    (AddressForbidden, Trouble.FORBIDDEN),
    (aiohttp.ClientSSLError, Trouble.TLS),
    (aiohttp.ClientConnectionError, Trouble.CONNECTION),
    (OSError, Trouble.CONNECTION),
    (aiohttp.ClientResponseError, Trouble.MALFORMED),
    (aiohttp.ClientPayloadError, Trouble.MALFORMED),
)


def _trouble(error: Exception) -> Trouble:
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, AddressForbidden):
        error = error.os_error
    return next((trouble for kind, trouble in _TROUBLES if isinstance(error, kind)), Trouble.INTERNAL)
