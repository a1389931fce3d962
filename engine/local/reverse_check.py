"""The check of `doctor` for reverse calls: no booking waits for them in vain."""

import asyncio
from collections.abc import Iterator

from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.domain.wording import counted
from engine.local.findings import Finding, Verdict
from engine.storage.operator_reads import OperatorReads

PART = "trunks for reverse calls"
# The most bookings that are counted.
COUNTED = 1_000


def reverse_calls(settings: Settings) -> Iterator[Finding]:
    """Warns of bookings with `reverse` and pairs that need a trunk which asserts who calls, where none does now."""
    policy = policy_of(settings)
    if policy.may_assert_callers:
        return
    bookings = asyncio.run(_bookings_with_reverse(settings, speaks=policy.speaks))
    if bookings:
        shown = f"{bookings} bookings or more" if bookings == COUNTED else counted(bookings, "booking")
        yield Finding(
            PART,
            Verdict.WARNING,
            f"no trunk asserts who calls, so no hidden number can call: {shown} with reverse or of pairs",
            "set asserts_identity on a trunk whose carrier promises it, or tell the customers and switch it off with "
            "`rented-numbers bookings change … --no-reverse`",
        )


async def _bookings_with_reverse(settings: Settings, *, speaks: bool) -> int:
    async with OperatorReads(settings.books) as reads:
        return await reads.bookings_with_reverse(COUNTED, speaks=speaks)
