"""Bad requests never cause a 500, an echo of the hidden number, or a change."""

import asyncio
import gzip
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from api.app import RequestLimits
from tests.integration.api_helpers import CALLBACK, HIDDEN, NUMBERS, Api, a_request

pytest_plugins = ["tests.integration.api_fixtures"]


@pytest.fixture
def api_limits() -> RequestLimits:
    return RequestLimits(body_seconds=1.0)


async def nothing_was_booked(api: Api) -> None:
    assert (await api.call("GET", "/bookings")).body["data"] == []
    free = await api.storage.run(lambda tx: tx.numbers.page("", "FREE", 100))
    assert len(free) == len(NUMBERS)


WRONG_TYPES: tuple[Any, ...] = (None, True, 0, 32470123456, 1.5, [], [HIDDEN], {}, {"x": HIDDEN}, "")
BAD_DESTINATIONS = (
    HIDDEN + "\n",
    "\n" + HIDDEN,
    HIDDEN + " ",
    HIDDEN + "\x00",
    "+3247\u066012345\u0661",
    "+٣٢٤٧٠١٢٣٤٥٦",
    "\uff0b32470123456",
    "0032470123456",
    "32470123456",
    "+32 470 12 34 56",
    "+" + "3" * 5000,
    "+0",
    "+999999999",
    "+3",
    "tel:+32470123456",
    "sip:+32470123456@example.com",
    HIDDEN + "&PJSIP/1",
    HIDDEN + "\u202e",
    "\ud800",
    "'; DROP TABLE bookings; --",
    "+88213123456",
    "+1900555123456",
)
BAD_PLANS = ("small", "SMALL ", "SMALL\n", "HUGE", "\uff33MALL", "\x00", "S" * 5000)
BAD_CALLBACKS = (
    "https://customer.example/\x00",
    "https://customer.example/\r\nX: y",
    "https://customer.example/" + "a" * 2048,
    "https://customer.example/\ud800",
    "http://customer.example/",
    "https://customer.example/\u202e",
)
BAD_FIELDS = [
    *((field, value) for field in ("destination", "usagePlan", "callback") for value in WRONG_TYPES),
    *(("destination", value) for value in BAD_DESTINATIONS),
    *(("usagePlan", value) for value in BAD_PLANS),
    *(("callback", value) for value in BAD_CALLBACKS),
]
CODES = {
    "destination": "invalid_destination",
    "usagePlan": "unknown_plan",
    "callback": "callback_not_acceptable",
}


@pytest.mark.parametrize(("field", "value"), BAD_FIELDS, ids=lambda value: ascii(value)[:60])
async def test_a_bad_value_is_refused_with_the_fields_own_code_and_not_echoed(api: Api, field: str, value: Any) -> None:
    answer = await api.call("POST", "/bookings", a_request(**{field: value}))
    assert (answer.status, answer.code) == (422, CODES[field])
    assert {error["field"] for error in answer.body["errors"]} == {field}
    if field == "destination" and isinstance(value, str) and len(value) >= 6:
        assert value.strip() not in answer.text
    await nothing_was_booked(api)


def without(field: str) -> dict[str, Any]:
    return {name: value for name, value in a_request().items() if name != field}


EXTRA = ("service", "id", "usage_plan", "Destination", "", "x\x00y", "\ud800", HIDDEN)
WRONG_BODIES: list[tuple[Any, list[str] | None]] = [
    *((body, None) for body in (None, [], [1], "text", 1, 1.5, True, [a_request()])),
    *((a_request(**{extra: "x"}), None) for extra in EXTRA),
    *((without(field), [field]) for field in CODES),
    ({"destination": 1, "usagePlan": "HUGE", "callback": CALLBACK}, ["destination", "usagePlan"]),
]


@pytest.mark.parametrize(("body", "fields"), WRONG_BODIES, ids=lambda value: ascii(value)[-60:])
async def test_a_wrong_body_is_refused_and_its_fields_named(api: Api, body: Any, fields: list[str] | None) -> None:
    answer = await api.send(json.dumps(body).encode())
    assert (answer.status, answer.code) == (422, "invalid_request")
    assert HIDDEN not in answer.text
    if fields:
        assert [error["field"] for error in answer.body["errors"]] == fields
    await nothing_was_booked(api)


async def test_thousands_of_unknown_fields_get_a_short_answer(api: Api) -> None:
    body = a_request(**{f"f{index}": 0 for index in range(4000)})
    answer = await api.call("POST", "/bookings", body)
    assert answer.status == 422
    assert len(answer.text) < 4096


async def test_a_callback_url_may_have_2048_characters(api: Api) -> None:
    callback = CALLBACK + "/" + "a" * (2047 - len(CALLBACK))
    assert (await api.book(callback=callback))["callback"] == callback


VALID = json.dumps(a_request()).encode()
UNREADABLE = {
    "nothing": b"",
    "half a document": VALID[:-5],
    "two documents": VALID + VALID,
    "deep arrays": b"[" * 30_000,
    "deep closed arrays": b"[" * 30_000 + b"]" * 30_000,
    "deep objects": b'{"a":' * 10_000,
    "deep inside a field": b'{"destination":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "equal keys": VALID[:-1] + b', "destination": "+442079460958"}',
    "equal keys of equal values": VALID[:-1] + b', "usagePlan": "SMALL"}',
    "equal keys by escape": VALID[:-1] + b', "\\u0064estination": "+442079460958"}',
    "equal keys further in": b'{"destination": {"a": 1, "a": 2}}',
    "NaN": b'{"destination": NaN}',
    "Infinity": b'{"destination": -Infinity}',
    "a number of 60,000 digits": b'{"destination": ' + b"9" * 60_000 + b"}",
    "no UTF-8": VALID.replace(b"SMALL", b"\xff\xfe"),
    "UTF-16": VALID.decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + VALID,
    "an overlong slash": VALID.replace(b"SMALL", b"\xc0\xaf"),
    "a bare control character": VALID.replace(b"SMALL", b"SM\x00ALL"),
    "single quotes": VALID.replace(b'"', b"'"),
    "a comment": VALID + b"// done",
    "a trailing comma": VALID[:-1] + b",}",
    "a form": b"destination=1&usagePlan=SMALL",
}


@pytest.mark.parametrize("raw", UNREADABLE.values(), ids=UNREADABLE)
async def test_a_body_that_is_not_valid_json_is_refused(api: Api, raw: bytes) -> None:
    answer = await api.send(raw)
    assert (answer.status, answer.code) == (400, "malformed_request")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert HIDDEN not in answer.text
    await nothing_was_booked(api)


async def test_a_number_beyond_every_float_is_refused_as_a_wrong_type(api: Api) -> None:
    answer = await api.send(VALID.replace(f'"{HIDDEN}"'.encode(), b"1e999"))
    assert (answer.status, answer.code) == (422, "invalid_destination")


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/problem+json",
        "application/jsonp",
        "application/json; charset=latin-1",
        "multipart/form-data; boundary=x",
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/bookings"), ("PUT", "/bookings/bkg_" + "0" * 32)])
async def test_only_json_is_accepted(api: Api, method: str, path: str, content_type: str) -> None:
    answer = await api.call(method, path, data=VALID, headers={"Content-Type": content_type})
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


async def test_json_with_an_explicit_utf8_charset_is_accepted(api: Api) -> None:
    headers = {"Content-Type": "application/json; charset=UTF-8"}
    assert (await api.call("POST", "/bookings", data=VALID, headers=headers)).status == 201


async def test_a_compressed_body_is_refused_without_unpacking(api: Api) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    for raw in (gzip.compress(VALID), gzip.compress(b" " * 10_000_000)):
        answer = await api.call("POST", "/bookings", data=raw, headers=headers)
        assert (answer.status, answer.code) == (415, "unsupported_media_type")


async def test_a_body_may_have_64_kib_and_no_more(api: Api) -> None:
    padding = 64 * 1024 - len(VALID)
    assert (await api.send(VALID + b" " * padding)).status == 201
    longer = await api.send(VALID + b" " * (padding + 1))
    assert (longer.status, longer.code) == (413, "too_large")


async def test_a_body_of_ten_megabytes_is_refused(api: Api) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await api.call("POST", "/bookings", data=io.BytesIO(b" " * 10_000_000), headers=headers)
    assert (answer.status, answer.code) == (413, "too_large")
    await nothing_was_booked(api)


async def test_a_chunked_body_of_ten_megabytes_is_refused(api: Api) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 100_000

    answer = await api.call("POST", "/bookings", data=chunks(), headers={"Content-Type": "application/json"})
    assert (answer.status, answer.code) == (413, "too_large")


async def exchange(api: Api, *parts: bytes) -> bytes:
    """Send raw HTTP that a client library would not send. `parts` arrive one after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.client.port)
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0.05)
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.close()
    await writer.wait_closed()
    return answer


async def test_two_authorization_headers_are_refused(api: Api) -> None:
    line = f"Authorization: Bearer {api.keys['ours']}\r\n"
    head = await exchange(api, f"GET /bookings HTTP/1.1\r\nHost: x\r\n{line}{line}\r\n".encode())
    assert head.startswith((b"HTTP/1.1 401 ", b"HTTP/1.1 400 "))


async def test_an_authorization_header_of_raw_bytes_is_refused(api: Api) -> None:
    head = await exchange(api, b"GET /bookings HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 401 ")


async def test_a_body_with_broken_chunks_is_refused(api: Api) -> None:
    request = (
        f"POST /bookings HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.keys['ours']}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    head = await exchange(api, request.encode(), b"not-a-length\r\n")
    # aiohttp's C parser does not report the error, so the body times out; its Python parser does.
    assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 408 "))
    assert b"application/problem+json" in head
