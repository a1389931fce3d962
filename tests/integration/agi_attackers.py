"""A process with many peers that attack the FastAGI port.

    python -m tests.integration.agi_attackers PORT PEERS SECONDS

Each peer repeats one kind of attack for SECONDS. Prints one line of JSON: the number of connections of each kind, and
the longest duration of one, in seconds.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tests.integration.fake_asterisk import Ending, environment, send_raw

WHOLE = b"".join(environment("route", ("+3225550001", "+14155550123", "allowed")))
HALF = WHOLE[: len(WHOLE) // 2]
FORGED = b"".join([*environment("route", ())[:-2], b"agi_arg_1: forged\n\n"])
BYTES = [bytes([byte]) for byte in WHOLE[:12]]
MEGABYTES = [b"agi_long: " + b"x" * 1_000_000] * 10

KINDS: dict[str, Callable[[int], Awaitable[object]]] = {
    "close": lambda port: send_raw(port, then=Ending.CLOSE),
    "reset": lambda port: send_raw(port, HALF, then=Ending.RESET),
    "half a header": lambda port: send_raw(port, HALF),
    "10 MB": lambda port: send_raw(port, *MEGABYTES),
    "a byte a second": lambda port: send_raw(port, *BYTES, pause=1.0),
    "forged": lambda port: send_raw(port, FORGED),
}


async def attack(port: int, peers: int, seconds: float) -> dict[str, object]:
    done: Counter[str] = Counter()
    longest = 0.0
    until = time.monotonic() + seconds

    async def keep_on(kind: str) -> None:
        nonlocal longest
        while time.monotonic() < until:
            began = time.monotonic()
            with suppress(ConnectionError):
                await KINDS[kind](port)
            longest = max(longest, time.monotonic() - began)
            done[kind] += 1
            await asyncio.sleep(0.2)  # otherwise some kinds would only open connections

    kinds = list(KINDS)
    await asyncio.gather(*(keep_on(kinds[number % len(kinds)]) for number in range(peers)))
    return {"connections": done, "longest": round(longest, 2)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(attack(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))))  # noqa: T201
