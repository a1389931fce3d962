"""Every answer has an X-Request-Id, and so has the log line of a request that failed."""

import asyncio
import re

import pytest
from structlog.testing import capture_logs

from tests.integration.api_helpers import Answer, Api
from tests.integration.problem_causes import CAUSES

pytest_plugins = ["tests.integration.api_fixtures"]

NEW = r"req_[0-9a-f]{32}"
# What a client sends, and the id that the answer has.
SENT = {
    "none": (None, NEW),
    "a UUID": ("0b1c4a5e-9d2f-4c3b-8a7e-6f5d4c3b2a19", "0b1c4a5e-9d2f-4c3b-8a7e-6f5d4c3b2a19"),
    "64 characters": ("a" * 64, "a" * 64),
    "dots and lines": ("trace.1_2-3", "trace[.]1_2-3"),
    "nothing": ("", NEW),
    "65 characters": ("a" * 65, NEW),
    "a blank": ("two words", NEW),
    "a line of the log": ('x","event":"forged', NEW),
    "a number": ("+32470123456", NEW),
    "other letters": ("f\u00fcr", NEW),
}


def id_of(answer: Answer) -> str:
    [given] = [value for name, value in answer.headers.items() if name.lower() == "x-request-id"]
    return given


async def test_an_answer_has_the_requests_own_id_or_a_new_one(api: Api) -> None:
    seen = set()
    for name, (sent, wanted) in SENT.items():
        for path in ("/bookings", "/health", "/nowhere", "/cdr.csv"):
            answer = await api.call("GET", path, headers={} if sent is None else {"X-Request-Id": sent})
            given = id_of(answer)
            assert re.fullmatch(wanted, given), (name, path, given)
            assert (given == sent) or given not in seen, "ids are used once"
            seen.add(given)


@pytest.mark.parametrize("raw", ["GET / HTTP/9.9\r\n\r\n", "GET /health HTTP/1.1\r\nHost: x\r\nExpect: x\r\n\r\n"])
async def test_a_refusal_before_routing_has_an_id_too(api: Api, raw: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.client.port)
    writer.write(raw.encode())
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode()
    writer.close()
    assert re.search(rf"\r\nX-Request-Id: {NEW}\r\n", head), head


async def test_the_log_line_of_a_failed_request_has_the_answers_id(api: Api) -> None:
    with capture_logs() as logs:
        answer = await CAUSES["internal"](api)
    [failed] = [entry for entry in logs if entry["event"] == "request_failed"]
    assert failed["request_id"] == id_of(answer)
