"""What the load generator plays: calls of three requests each, with all that Asterisk sends, proof included.

The file: how many calls, then for each call and each of its scripts how many lines, then each line's length and bytes.
Numbers are 32 bits, little endian.
"""

import struct
from collections.abc import Sequence
from pathlib import Path

from agi_scripts.dialplan import ANSWERED, ENDED, ROUTE
from agi_scripts.request_auth import request_mac
from tests.integration.fake_asterisk import ALLOWED, environment

TALKED_MS = "12000"


def write(path: Path, services: Sequence[str], bookings: Sequence[str], calls: int, token: str, *, run: int) -> None:
    """`services`, `bookings`: numbers and ids, dialled in turn. `run` makes the calls' ids those of this run."""
    with path.open("wb") as file:
        file.write(struct.pack("<I", calls))
        for number in range(calls):
            which = number % len(services)
            for lines in lines_of_call(f"bench{run}-{number}.1", number, services[which], bookings[which], token):
                file.write(struct.pack("<I", len(lines)))
                for line in lines:
                    file.write(struct.pack("<I", len(line)) + line)


def lines_of_call(call_id: str, number: int, service: str, booking: str, token: str) -> list[list[bytes]]:
    """Of callers that are all different: how often one may call is limited."""
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
