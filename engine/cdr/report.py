"""The report of a month: what each account's calls used and its plans cost, by the rented number.

A call belongs to the month in which it came in, in UTC, as its record says. What is charged for it is in the record and
in the ledger alike, so the seconds of a report are those that the ledger has settled for the same calls. A plan costs
the price that its grant has, in the month of the grant.
"""

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass

from engine.domain.ids import AccountId
from engine.domain.money import Money, summed
from engine.domain.numbers import E164
from engine.domain.times import Span
from engine.storage.operator_reads import CallSums, OperatorReads


@dataclass(frozen=True, slots=True)
class ReportLine:
    """What the calls of one account to one number used, and what its plans for bookings with this number cost."""

    account_id: AccountId
    number: E164
    sums: CallSums
    cost: tuple[Money, ...]


async def report_lines(
    reads: OperatorReads, accounts: Iterable[AccountId], month: Span
) -> AsyncGenerator[ReportLine, None]:
    """Yields the lines of all accounts, in the order of their numbers; none for a number without calls and costs.

    It reads a day at a time, so that no statement runs long, and holds the numbers of one account.
    """
    for account_id in accounts:
        sums: dict[E164, CallSums] = {}
        costs: dict[E164, tuple[Money, ...]] = {}
        for day in month.by_day():
            for number, of_day in (await reads.calls_by_number(account_id, day)).items():
                sums[number] = sums.get(number, CallSums()) + of_day
            for charge in await reads.charges(account_id, day):
                costs[charge.service] = summed((*costs.get(charge.service, ()), charge.cost))
        for number in sorted(sums.keys() | costs.keys()):
            yield ReportLine(account_id, number, sums.get(number, CallSums()), costs.get(number, ()))
