"""A process with a manager interface that sends reports.

    python -m tests.integration.ami_reporter SECRET RATE

Reads one line: reports without their MACs, with tabs between them. Prints its port. Sends them once it is
asked to hang up a channel: RATE a second, or as fast as they are taken if RATE is 0. Each gets a field more: when it
was sent, in nanoseconds of the machine's monotonic clock. Then prints the seconds that it took, and answers actions
until its input ends.
"""

import asyncio
import sys
import time

from tests.integration.fake_ami import FakeAmi
from tests.integration.fake_reports import user_event, with_mac

# Asterisk writes the events of one connection in turn; at high rates several go in one packet.
TURN_SECONDS = 0.005


async def send(ami: FakeAmi, texts: list[str], rate: float) -> float:
    await ami.wait_for("Hangup")
    began = time.monotonic()
    sent = 0
    while sent < len(texts):
        due = len(texts) if not rate else min(len(texts), int((time.monotonic() - began) * rate) + 1)
        due = min(due, sent + 100)
        if due == sent:
            await asyncio.sleep(TURN_SECONDS)
            continue
        now = time.monotonic_ns()
        await ami.send(b"".join(user_event(with_mac(f"{text} {now}")) for text in texts[sent:due]))
        sent = due
    return time.monotonic() - began


async def main(secret: str, rate: float) -> None:
    texts = sys.stdin.readline().removesuffix("\n").split("\t")
    async with FakeAmi() as ami:
        ami.secret = secret
        print(ami.port, flush=True)  # noqa: T201
        print(await send(ami, texts, rate), flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
