"""A process with many open consoles.

    python -m tests.integration.console_visitors URL CONSOLES SECONDS SECRET...

Each follows the live calls as a stream and asks for a page every 5 s, three times as often as a page does by itself.
Prints an empty line when all streams are open, and SECONDS later one line of JSON: how many streams, messages and pages
there were, and how long pages took at most, in ms.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from itertools import cycle

import aiohttp

PAGES = ("", "/trunks", "/security-log", "/system", "/live")
EVERY_SECONDS = 5.0


async def main(url: str, consoles: int, seconds: float, secrets: list[str]) -> None:
    counts, took = Counter[str](), list[float]()
    all_open = asyncio.Event()

    async def follow(secret: str) -> None:
        async with client.get(f"{url}/console/live/stream", headers={"Authorization": f"Bearer {secret}"}) as answer:
            counts["streams"] += answer.status == 200
            async for line in answer.content:
                counts["messages"] += line.startswith(b"data:")
                if counts["messages"] >= consoles:  # each stream begins with all rows
                    all_open.set()

    async def look(number: int, secret: str) -> None:
        await asyncio.sleep(number * EVERY_SECONDS / consoles)
        for path in cycle(PAGES):
            began = time.monotonic()
            async with client.get(f"{url}/console{path}", headers={"Authorization": f"Bearer {secret}"}) as answer:
                counts[f"pages {answer.status}"] += 1
                await answer.read()
            took.append(1000 * (time.monotonic() - began))
            await asyncio.sleep(EVERY_SECONDS)

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as client:
        of = [secrets[number % len(secrets)] for number in range(consoles)]
        tasks = [asyncio.create_task(each) for each in (*map(follow, of), *(look(*each) for each in enumerate(of)))]
        await all_open.wait()
        print(flush=True)  # noqa: T201
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    print(json.dumps({**counts, "slowest ms": round(max(took), 1)}))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]))
