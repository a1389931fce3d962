"""A watched program whose event loop stalls, works or idles.

    python -m tests.integration.watchdog_process stalls|works|idles

It prints "up" once the watchdog runs, and "done" when the loop has come through.
"""

import asyncio
import sys
import time

from engine.runtime.watchdog import watched

BUSY_SECONDS = 4.0


def say(word: str) -> None:
    print(word, flush=True)  # noqa: T201  its report to the test


async def work() -> None:
    """Keep the CPU busy, but yield to the event loop."""
    until = time.monotonic() + BUSY_SECONDS
    while time.monotonic() < until:
        sum(range(1_000_000))
        await asyncio.sleep(0)


async def main(how: str) -> None:
    async with watched():
        await asyncio.sleep(0.5)
        say("up")
        if how == "stalls":
            time.sleep(10)  # noqa: ASYNC251  the very thing that is watched for
        elif how == "works":
            await work()
        else:
            await asyncio.sleep(BUSY_SECONDS)
    say("done")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
