"""Writes what the load generator plays: calls of three AGI requests each, with all headers and the request MAC.

The file holds the number of calls; then for each call and each of its scripts the number of lines; then for each line
its length and its bytes. Numbers are 32 bits, little endian.
"""

import struct
from collections.abc import Sequence
from pathlib import Path

from agi_scripts.dialplan import ANSWERED, ENDED, ROUTE
from agi_scripts.request_auth import request_mac
from tests.integration.fake_asterisk import ALLOWED, environment

TALKED_MS = "12000"


def write(path: Path, services: Sequence[str], bookings: Sequence[str], calls: int, token: str, *, run: int) -> None:
    """Writes a workload.

    Args:
        path: The file.
        services: Service numbers, dialled in turn.
        bookings: The ids of their bookings, in the same order.
        calls: How many calls.
        token: The token that authenticates AGI requests.
        run: Makes the call ids of this run unique.
    """
    with path.open("wb") as file:
        file.write(struct.pack("<I", calls))
        for number in range(calls):
            which = number % len(services)
            for lines in lines_of_call(f"bench{run}-{number}.1", number, services[which], bookings[which], token):
                file.write(struct.pack("<I", len(lines)))
                for line in lines:
                    file.write(struct.pack("<I", len(line)) + line)


def lines_of_call(call_id: str, number: int, service: str, booking: str, token: str) -> list[list[bytes]]:
    """The lines of a call's three requests. Each call has its own caller, because calls of one caller are limited."""
    caller = f"+1415{number % 10_000_000:07}"
    scripts = (
        (ROUTE, call_id, (service, caller, ALLOWED, "", "")),
        (ANSWERED, f"{call_id}-callee", (call_id, booking, "")),
        (ENDED, call_id, (call_id, TALKED_MS, "ANSWER", "")),
    )
    return [
        environment(
            script, arguments, asking, {f"agi_arg_{len(arguments) + 1}": request_mac(token, asking, script, arguments)}
        )
        for script, asking, arguments in scripts
    ]
