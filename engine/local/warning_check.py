"""The check of `doctor` for what the operator should look at."""

import asyncio
from collections.abc import Iterator

from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.control.operator_warnings import FINDERS
from engine.domain.operator_warnings import OperatorWarning
from engine.local.findings import Finding, Verdict
from engine.runtime.clock import SystemClock
from engine.storage.operator_reads import OperatorReads

PART = "warnings"


def warnings(settings: Settings) -> Iterator[Finding]:
    """Yields what the engine's log warns of as well."""
    found = asyncio.run(_find(settings))
    for each in found:
        yield Finding(f"{PART}: {each.kind} {each.subject}".rstrip(), Verdict.WARNING, each.what, each.fix)
    if not found:
        yield Finding(
            PART, Verdict.OK, "no pool runs out, callbacks arrive, calls get through as usual, no Asterisk is silent"
        )


async def _find(settings: Settings) -> list[OperatorWarning]:
    now, quarantine_ms = SystemClock().now(), policy_of(settings).quarantine_ms
    async with OperatorReads(settings.books) as reads:
        return [each for find in FINDERS.values() for each in await find(reads, now, quarantine_ms)]
