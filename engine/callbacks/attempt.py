"""One attempt to deliver a callback: a signed POST over a guarded socket, with a typed outcome.

Every attempt opens a new connection. So nothing left over from an earlier attempt (a dead kept-alive connection, a
cookie) can affect it, and its address is checked again.
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

from engine.callbacks.answer_head import CURRENT_HEAD, AnswerHead
from engine.callbacks.connector import MAX_ANSWER_BYTES, GuardedConnector, tls_of_this_machine
from engine.callbacks.signing import signature_headers
from engine.callbacks.ssrf import AddressForbidden, check_callback
from engine.callbacks.twilio_webhooks import JSON, as_sent, twilio_signature
from engine.domain.errors import CallbackNotAcceptable
from engine.domain.policy import CallbackRules
from engine.domain.retry import AttemptOutcome, HttpAnswer, NoAnswer, Trouble, parse_retry_after
from engine.domain.times import EpochMs
from engine.storage.outbox import Delivery

USER_AGENT = "rented-numbers-callbacks/1"
# The status decides; the rest of the answer changes nothing. A receiver has this long to finish it before the
# connection is closed.
ANSWER_BODY_SECONDS = 1.0
# How much of an answer's body is stored for the customer.
SHOWN_BYTES = 1024
# The headers of every callback, in addition to the signature.
HEADERS = {"Content-Type": JSON, "User-Agent": USER_AGENT, "Accept-Encoding": "identity"}

# The cut at SHOWN_BYTES may split a telephone number, and `privacy erase` would not find half a number.
_CUT_NUMBER = re.compile(r"\+?[0-9]+\Z")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """The result of an attempt.

    Attributes:
        outcome: The HTTP status, or why there was none.
        response: The beginning of the answer's body; empty if there was no answer, or only its status could be read.
            It must not be logged, because a receiver may put anything into it.
    """

    outcome: AttemptOutcome
    response: str = ""


def open_session(
    *, rules: CallbackRules, lookups_at_once: int, tls: ssl.SSLContext | None = None
) -> aiohttp.ClientSession:
    """Returns the HTTP client for all attempts. It uses no proxies, cookies, .netrc or decompression.

    Args:
        rules: Where callbacks may go.
        lookups_at_once: The most DNS look-ups at one time.
        tls: The TLS settings; by default the machine's own list of authorities.
    """
    return aiohttp.ClientSession(
        connector=GuardedConnector(rules, lookups_at_once=lookups_at_once, tls=tls or tls_of_this_machine()),
        connector_owner=True,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # attempt() limits the whole attempt
        # The connector limits the answer as a whole; within that, no header is too long and there are not too many.
        max_line_size=MAX_ANSWER_BYTES,
        max_field_size=MAX_ANSWER_BYTES,
        max_headers=MAX_ANSWER_BYTES,
    )


async def attempt(
    session: aiohttp.ClientSession, delivery: Delivery, *, now: EpochMs, timeout_ms: int, rules: CallbackRules
) -> AttemptResult:
    """Sends a callback and waits for the head of the answer. Raises nothing but CancelledError.

    A status line that can be read is the outcome, whatever follows it or fails after it.

    Args:
        session: From `open_session`.
        delivery: The callback.
        now: The present time.
        timeout_ms: How long everything up to the head of the answer may take.
        rules: Where callbacks may go.
    """
    head = AnswerHead()
    CURRENT_HEAD.set(head)
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            response = await _send(session, delivery, now, rules)
    except Exception as error:  # neither an odd answer nor a bad row may end the worker
        if head.status is not None:
            return AttemptResult(HttpAnswer(head.status, _wait_of(head.retry_after, now)))
        trouble = _trouble(error)
        if trouble is Trouble.INTERNAL:
            # The class alone, because the text of an exception may contain the URL, the body or the secret.
            log.error("callback_attempt_broke", event_id=delivery.id, error=type(error).__name__)
        return AttemptResult(NoAnswer(trouble))
    outcome = HttpAnswer(response.status, _wait_of(response.headers.get("Retry-After"), now))
    return AttemptResult(outcome, _as_text(await _let_finish(response)))


async def _send(
    session: aiohttp.ClientSession, delivery: Delivery, now: EpochMs, rules: CallbackRules
) -> aiohttp.ClientResponse:
    check_callback(delivery.url, rules)  # the settings may have changed since the booking was made
    kind, body = as_sent(delivery.body)
    secrets = delivery.secrets.valid_at(now)
    return await session.post(
        _unchanged(delivery.url),
        data=body.encode(),
        headers=HEADERS
        | {"Content-Type": kind}
        | signature_headers(delivery.id, secrets, body, now)
        | twilio_signature(delivery.url, delivery.body, secrets[0]),
        allow_redirects=False,
    )


def _unchanged(url: str) -> URL:
    """Returns a URL that aiohttp sends as the customer wrote it, because another spelling breaks a signed URL.

    yarl re-encodes nothing of a URL that is encoded already, but drops the `?` of an empty query. So the path gets it.
    """
    written = URL(url, encoded=True)
    if url.endswith("?") and not written.raw_query_string:
        return written.with_path(f"{written.raw_path}?", encoded=True)
    return written


async def _let_finish(response: aiohttp.ClientResponse) -> bytes:
    """Reads the rest of the answer, within limits, so that a well-behaved receiver sees no broken connection.

    Returns the beginning of the body.
    """
    beginning = bytearray()
    with contextlib.suppress(Exception):  # an error here does not change the outcome
        async with asyncio.timeout(ANSWER_BODY_SECONDS):
            while chunk := await response.content.readany():
                beginning += chunk[: SHOWN_BYTES - len(beginning)]
    response.close()
    return bytes(beginning)


def _as_text(body: bytes) -> str:
    """Decodes a body as UTF-8, drops a character that was cut at the end, and replaces control characters."""
    text = getincrementaldecoder("utf-8")("replace").decode(body)
    if len(body) == SHOWN_BYTES:
        text = _CUT_NUMBER.sub("", text)
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for letter in text.replace("\r\n", "\n")
    )


def _wait_of(retry_after: str | None, now: EpochMs) -> int | None:
    return None if retry_after is None else parse_retry_after(retry_after, now)


# The first entry that matches decides.
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
