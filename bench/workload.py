"""Writes what the load generator plays: the requests of each call, with all headers and the request MAC.

The file holds the number of calls and their shape (1: a call asks once), then for each call three parts. They are its
requests, or its only request, the words of its reports (call id, booking, callee's channel), and nothing. A part is the
number of its lines, then for each line its length and its bytes. Numbers are 32 bits, little endian.
"""

import struct
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from agi_scripts.dialplan import ROUTE
from agi_scripts.request_auth import request_mac
from tests.integration.fake_asterisk import ALLOWED, environment

TALKED_MS = "12000"
PARTS = 3
# Of unique ids, which begin with the second of their channel.
EPOCH = 1_793_000_000


class Shape(StrEnum):
    """How the dialplan and the server talk about a call.

    Attributes:
        ASKS_ONCE: One FastAGI request (route), then two events of the manager interface.
        THREE_REQUESTS: Three FastAGI requests (route, answered, ended).
    """

    ASKS_ONCE = "asks once"
    THREE_REQUESTS = "three requests"


def write(
    path: Path,
    shape: Shape,
    services: Sequence[str],
    bookings: Sequence[str],
    calls: int,
    token: str,
    asterisk: int = 0,
) -> None:
    """Writes a workload.

    Args:
        path: The file.
        shape: How the calls are played.
        services: Service numbers, dialled in turn.
        bookings: The ids of their bookings, in the same order.
        calls: How many calls.
        token: The token that authenticates AGI requests.
        asterisk: Tells the calls of several Asterisks apart.
    """
    with path.open("wb") as file:
        file.write(struct.pack("<II", calls, shape is Shape.ASKS_ONCE))
        for number in range(calls):
            which = number % len(services)
            call_id, booking = f"rn{asterisk}bench0-{EPOCH + number // 100}.{2 * number}", bookings[which]
            if shape is Shape.ASKS_ONCE:
                words = [word.encode() for word in (call_id, booking, _callee(call_id))]
                parts = [_request(ROUTE, call_id, _route(number, services[which]), token), words, []]
            else:
                parts = lines_of_call(call_id, number, services[which], booking, token)
            assert len(parts) == PARTS
            for lines in parts:
                file.write(struct.pack("<I", len(lines)))
                for line in lines:
                    file.write(struct.pack("<I", len(line)) + line)


def lines_of_call(call_id: str, number: int, service: str, booking: str, token: str) -> list[list[bytes]]:
    """The lines of a call's three requests."""
    return [
        _request(ROUTE, call_id, _route(number, service), token),
        _request("answered", _callee(call_id), (call_id, booking, ""), token),
        _request("ended", call_id, (call_id, TALKED_MS, "ANSWER", ""), token),
    ]


def _route(number: int, service: str) -> tuple[str, ...]:
    """The arguments of `route`. Each call has its own caller, because calls of one caller are limited."""
    return service, f"+1415{number % 10_000_000:07}", ALLOWED, "", "", "", "", "carrier-main"


def _callee(call_id: str) -> str:
    """The unique id of the callee's channel, which is the next one."""
    second, _, count = call_id.partition(".")
    return f"{second}.{int(count) + 1}"


def _request(script: str, asking: str, arguments: tuple[str, ...], token: str) -> list[bytes]:
    mac = {f"agi_arg_{len(arguments) + 1}": request_mac(token, asking, script, arguments)}
    return environment(script, arguments, asking, mac)
