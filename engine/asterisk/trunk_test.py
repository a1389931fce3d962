"""A call that tests a trunk: it rings and is given up. It is placed over Asterisk's console, never by the engine."""

import asyncio
import re
import secrets
import time
from dataclasses import dataclass

from engine.asterisk.console import Console, UnknownCommand
from engine.domain.errors import RentedNumbersError
from engine.domain.trunks import TrunkRoute

POLL_SECONDS = 0.2
# Asterisk gives up after 30 s what its console calls.
MOST_SECONDS = 25
ORIGINATE = "res_clioriginate.so"
# For Asterisk's console and the end of the call.
GRACE_SECONDS = 5.0
_TESTED = re.compile(
    r"RN_TESTED=([0-9]+) ([A-Z]*) ([0-9]*) ([0-9]*) ([0-9]*) ?(?:SIP ([1-6][0-9]{2}) ?([A-Za-z0-9 ]*))?"
)


class NoResult(RentedNumbersError):
    """The dialplan has not said what became of the call."""


@dataclass(frozen=True, slots=True)
class TestResult:
    """What became of a test call.

    Attributes:
        reached: Whether the trunk works: the number rang, answered, or refused the call itself.
        result: In words.
        sip: The carrier's last SIP answer; None if there was none.
        answered_ms: How soon the number rang or the final answer came, in milliseconds; None if nothing came.
    """

    reached: bool
    result: str
    sip: str | None
    answered_ms: int | None


async def call_over(console: Console, route: TrunkRoute, seconds: int) -> TestResult:
    """Calls a number over a trunk and lets it ring for `seconds`.

    Raises:
        ConsoleError: The console cannot be used.
        NoResult: Asterisk lost the call, or another test ran at the same time.
    """
    test_id = str(10**8 + secrets.randbelow(9 * 10**8))
    extension = "*".join((test_id, route.trunk, route.destination, route.shown, str(seconds)))
    await _originate(console, f"channel originate Local/{extension}@rented-numbers-test application Wait 1")
    deadline = time.monotonic() + seconds + GRACE_SECONDS
    while time.monotonic() < deadline:
        await asyncio.sleep(POLL_SECONDS)
        found = _TESTED.search(await console.run("dialplan show globals"))
        if found and found[1] == test_id:
            return _result(*found.groups()[1:])
    raise NoResult("Asterisk does not say what became of the call; only one test can run at a time")


async def _originate(console: Console, command: str) -> None:
    """Places the call. Raises ConsoleError."""
    try:
        await console.run(command)
    except UnknownCommand:
        # Our own Asterisk has the module of this command only from here on.
        await console.run(f"module load {ORIGINATE}")
        await console.run(command)


def _result(
    dial_status: str, ringing: str, progress: str, dialled: str, code: str | None, phrase: str | None
) -> TestResult:
    soon = [int(each) for each in (ringing, progress) if each]
    sip = f"{code} {phrase}".rstrip() if code else None
    if dial_status == "ANSWER":
        return TestResult(reached=True, result="answered, and hung up", sip="200", answered_ms=int(dialled or 0))
    if soon:
        return TestResult(reached=True, result="rang, and was given up", sip=sip, answered_ms=min(soon))
    if sip is None:
        return TestResult(reached=False, result="no answer from the carrier", sip=None, answered_ms=None)
    busy = dial_status == "BUSY" or sip[0] == "6"
    result = "refused by the number itself" if busy else "refused"
    return TestResult(reached=busy, result=result, sip=sip, answered_ms=int(dialled or 0))
