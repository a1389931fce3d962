"""Reads forms: every field is known, is sent once, and has a limit.

Twilio ignores what it does not know. Here an unknown field is refused: it may ask for what does not exist here.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import hdrs, web

from api.http.dependencies import DEPENDENCIES
from api.http.parsing import read_bytes
from api.http.problems import ProblemError, safe_name
from api.schemas.fields import MAX_CALLBACK, MAX_INSTANT, URL
from engine.domain.errors import Refusal
from engine.domain.notes import LABEL
from engine.domain.numbers import E164, is_e164
from engine.domain.times import EpochMs, instant_from
from engine.domain.twilio_proxy import MAX_TTL, MAX_UNIQUE_NAME, ProxyRefusal, invalid

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 30
# A field's parser: takes its text, and raises ValueError with what is wrong.
Parser = Callable[[str], Any]
_SECONDS = re.compile(r"[0-9]{1,9}")
# No control characters, line ends or direction marks, as in a label.
_UNIQUE_NAME = re.compile(LABEL.pattern.rpartition("{")[0] + f"{{1,{MAX_UNIQUE_NAME}}}")
_PN = re.compile(r"PNf*([1-9][0-9]{6,14})")


async def read_form(
    request: web.Request,
    fields: Mapping[str, Parser],
    *,
    absent: Mapping[str, str] | None = None,
    required: Collection[str] = (),
    repeated: Collection[str] = (),
) -> dict[str, Any]:
    """Reads a form.

    Args:
        request: The request.
        fields: The parser of each field.
        absent: Twilio's fields that do not exist here, and why.
        required: Fields that must be sent.
        repeated: Fields that may be sent several times; their values are lists.

    Returns:
        The values of the fields that were sent.

    Raises:
        ProblemError: The body is no form.
        ProxyRefusal: A field is refused.
    """
    values: dict[str, Any] = {}
    for name, text in await _pairs(request):
        if name in (absent or {}):
            raise ProxyRefusal(501, 501, f"{name} does not exist here: {(absent or {})[name]}")
        if name not in fields:
            raise ProxyRefusal(400, 20001, f"{safe_name(name)} is not a parameter here.")
        if name in values and name not in repeated:
            raise invalid(name, "it may be sent once.")
        try:
            value = fields[name](text)
        except ValueError as error:
            raise invalid(name, str(error)) from None
        if name in repeated:
            values.setdefault(name, []).append(value)
        else:
            values[name] = value
    for name in required:
        if name not in values:
            raise invalid(name, "it is required.")
    return values


async def _pairs(request: web.Request) -> list[tuple[str, str]]:
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise ProblemError("unsupported_media_type", "Send the body uncompressed.")
    body = await read_bytes(request)
    if not body:
        return []
    if request.content_type != FORM:
        raise ProblemError("unsupported_media_type", f"Send the body as {FORM}.")
    try:
        return parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError:  # UnicodeDecodeError is one
        raise ProblemError("malformed_request", "The body is not a form of up to 30 fields in UTF-8.") from None


def unique_name(text: str) -> str:
    """A name of the customer's choice."""
    if not _UNIQUE_NAME.fullmatch(text):
        raise ValueError(f"1 to {MAX_UNIQUE_NAME} characters, without control characters and direction marks.")
    return text


def friendly_name(text: str) -> str | None:
    """A person's name; it becomes the label of a participant, and is as long as one."""
    if text and not LABEL.fullmatch(text):
        raise ValueError("up to 100 characters here, without control characters and direction marks.")
    return text or None


def ttl(text: str) -> int:
    """A time to live in seconds; 0 for none."""
    if not _SECONDS.fullmatch(text) or int(text) > MAX_TTL:
        raise ValueError(f"a whole number of seconds from 0 to {MAX_TTL}.")
    return int(text)


def instant(text: str) -> EpochMs:
    """An instant, as ISO 8601 writes it."""
    found = instant_from(text) if len(text) <= MAX_INSTANT else None
    if found is None:
        raise ValueError("an ISO 8601 date and time, such as 2026-03-01T12:00:00Z.")
    return found


def phone_number(text: str) -> E164:
    """A telephone number."""
    if not is_e164(text):
        raise ValueError("an E.164 number, such as +3225551234.")
    return E164(text)


def number_of_sid(text: str) -> E164:
    """The rented number of a SID."""
    match = _PN.fullmatch(text)
    if match is None or len(text) != 34:
        raise ValueError("the SID of one of the Service's phone numbers.")
    return E164(f"+{match[1]}")


def url_of(request: web.Request) -> Parser:
    """The parser of callback URLs that this request may name. An empty text means none."""

    def parse(text: str) -> str:
        if not text:
            return text
        if len(text) > MAX_CALLBACK or not URL.fullmatch(text):
            raise ValueError(f"a URL of up to {MAX_CALLBACK} characters.")
        try:
            request.app[DEPENDENCIES].check_callback(text)
        except Refusal as refusal:
            raise ValueError(f"{refusal}.") from None
        return text

    return parse


def mode(text: str) -> None:
    """What sessions carry: voice."""
    if text == "voice-only":
        return
    if text in {"message-only", "voice-and-message"}:
        raise ProxyRefusal(501, 501, "Messages do not exist here. Create the Session with Mode=voice-only, or without.")
    raise ValueError("voice-only.")


def status(text: str) -> bool:
    """Whether a session should be open."""
    if text not in {"open", "in-progress", "closed"}:
        raise ValueError("open, in-progress or closed.")
    return text != "closed"


def open_status(text: str) -> bool:
    """Of a new session, which cannot be closed."""
    if not status(text):
        raise ValueError("open or in-progress.")
    return True


def nested(fields: Mapping[str, Parser], required: Collection[str]) -> Parser:
    """The parser of a JSON object of text fields, such as a participant of a new session."""

    def parse(text: str) -> dict[str, Any]:
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError("each is a JSON object.") from None
        if not isinstance(found, dict) or not set(found) <= fields.keys() or not set(required) <= found.keys():
            raise ValueError(f"each is a JSON object with {', '.join(fields)}.")
        if not all(isinstance(value, str) for value in found.values()):
            raise ValueError("the fields of each are texts.")
        return {name: fields[name](value) for name, value in found.items()}

    return parse


def own_id(prefix: str) -> re.Pattern[str]:
    """The pattern of ids with a prefix."""
    return re.compile(f"{prefix}_[0-9a-f]{{32}}")
