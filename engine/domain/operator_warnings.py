"""What the operator should look at: an empty pool, a host that takes no callbacks, calls that fail, a silent Asterisk.

Each rule is simple and has a least amount, so that a few events are no warning.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from engine.domain.dispositions import Disposition
from engine.domain.times import EpochMs, rfc3339
from engine.domain.wording import counted

# The pool of a country is low if it has free numbers for fewer days.
LOW_DAYS = 7
# A host refuses callbacks if all attempts within this time have failed.
REFUSING_MS = 10 * 60 * 1000
# Calls fail if so many were put through within an hour, so many of them failed, and so many times the usual share. A
# usual share below the least one counts as that.
LEAST_CALLS, LEAST_FAILED = 20, 5
TIMES_USUAL = 3
LEAST_USUAL = Fraction(5, 100)
# Calls that were put through. Of these, a call failed if no trunk took it, or its end was never reported.
PUT_THROUGH = frozenset(
    {
        *(Disposition.ANSWERED, Disposition.BUSY, Disposition.NO_ANSWER, Disposition.CANCELLED),
        *(Disposition.GAVE_WAY, Disposition.UNREACHABLE, Disposition.LOST),
    }
)
FAILED = frozenset({Disposition.UNREACHABLE, Disposition.LOST})


class WarningKind(StrEnum):
    """What a warning is about."""

    POOL = "pool"
    CALLBACKS = "callbacks"
    CALLS = "calls"
    ASTERISKS = "asterisks"


@dataclass(frozen=True, slots=True)
class OperatorWarning:
    """Something that the operator should look at.

    Attributes:
        kind: What it is about.
        subject: Which one: a country, a host. Warnings of one kind differ in it.
        what: What was found.
        fix: What to do about it.
    """

    kind: WarningKind
    subject: str
    what: str
    fix: str


class PoolLeft(NamedTuple):
    """The free numbers of a country, and for how many days they last; None: they do not run out."""

    free: int
    days: int | None


class TriedEndpoint(NamedTuple):
    """A URL to which callbacks were sent lately.

    Attributes:
        host: Its host.
        last_attempt_at: When a callback was sent to it last.
        failing_since: When the present series of failures began. None: the last attempt succeeded.
    """

    host: str
    last_attempt_at: EpochMs
    failing_since: EpochMs | None


def pool_warnings(pools: Mapping[str | None, PoolLeft]) -> list[OperatorWarning]:
    """Returns a warning for each country whose free numbers last for fewer than LOW_DAYS.

    Args:
        pools: What is left, by country (ISO 3166); None where numbers belong to no single one.
    """
    return [
        OperatorWarning(
            WarningKind.POOL,
            country or "no country",
            f"free numbers: {left.free}, which last for {counted(left.days, 'day')} at the pace of the last week"
            if left.free
            else "no number is free",
            "import numbers with `rented-numbers numbers import`; `numbers summary` shows all countries",
        )
        for country, left in sorted(pools.items(), key=lambda item: item[0] or "")
        if left.days is not None and left.days < LOW_DAYS
    ]


def callback_warnings(endpoints: Iterable[TriedEndpoint]) -> list[OperatorWarning]:
    """Returns a warning for each host at which every attempt has failed for at least REFUSING_MS."""
    by_host: dict[str, list[TriedEndpoint]] = {}
    for each in endpoints:
        by_host.setdefault(each.host, []).append(each)
    found = []
    for host, tried in sorted(by_host.items()):
        failing = [each for each in tried if each.failing_since is not None]
        if not failing:
            continue
        succeeded_at = max((each.last_attempt_at for each in tried if each.failing_since is None), default=EpochMs(0))
        since = max(succeeded_at, min(each.failing_since for each in failing if each.failing_since is not None))
        if max(each.last_attempt_at for each in failing) - since >= REFUSING_MS:
            found.append(
                OperatorWarning(
                    WarningKind.CALLBACKS,
                    host,
                    f"all callbacks have failed since {rfc3339(since)}",
                    "`rented-numbers callbacks endpoints` shows whose they are; inform the customer",
                )
            )
    return found


def call_warnings(last_hour: Mapping[Disposition, int], usual: Mapping[Disposition, int]) -> list[OperatorWarning]:
    """Returns a warning if more calls have failed than usual.

    Args:
        last_hour: How many calls of the last hour ended in which way.
        usual: The same for the preceding days.
    """
    calls, failed = _counted(last_hour)
    before, failed_before = _counted(usual)
    usual_share = max(LEAST_USUAL, Fraction(failed_before, before or 1))
    # A share that is already high cannot grow threefold: then, half of the rest counts.
    limit = min(TIMES_USUAL * usual_share, (1 + usual_share) / 2)
    if calls < LEAST_CALLS or failed < LEAST_FAILED or Fraction(failed, calls) < limit:
        return []
    usually = f"usually {failed_before} of {before} do not" if before else "the week before has no calls at this hour"
    what = f"{failed} of {calls} calls within an hour did not get through; {usually}"
    fix = "`rented-numbers trunks list` shows the trunks, `cdr list` how calls ended and over which trunk"
    return [OperatorWarning(WarningKind.CALLS, "", what, fix)]


class SilentAsterisk(NamedTuple):
    """An Asterisk that has calls, but no engine.

    Attributes:
        name: Its name.
        host: The machine of its last engine; None if it is not known.
        since: When that was last heard of; None if it is not known.
        calls: Its calls that are up.
        seconds: The seconds that they have leased.
    """

    name: str
    host: str | None
    since: EpochMs | None
    calls: int
    seconds: int


def asterisk_warnings(silent: Iterable[SilentAsterisk]) -> list[OperatorWarning]:
    """Returns a warning for each Asterisk that has calls, but no engine."""
    return [
        OperatorWarning(
            WarningKind.ASTERISKS,
            each.name,
            f"no engine of it{f' on {each.host}' if each.host else ''} was heard of"
            f"{f' since {rfc3339(each.since)}' if each.since else ''}; its {counted(each.calls, 'call')} hold"
            f" {counted(each.seconds, 'second')} until their leases are over",
            "start its engine again; or if the machine is off, `rented-numbers asterisks forget` settles its calls",
        )
        for each in silent
    ]


def _counted(ended: Mapping[Disposition, int]) -> tuple[int, int]:
    """Returns how many calls were put through, and how many of them failed."""
    return sum(ended.get(each, 0) for each in PUT_THROUGH), sum(ended.get(each, 0) for each in FAILED)
