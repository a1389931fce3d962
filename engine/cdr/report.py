"""The report of a month: what each account's calls cost, by the rented number.

A call belongs to the month in which it came in, in UTC, as its record says. What is charged for it is in the record and
in the ledger alike, so the seconds of a report are those that the ledger has settled for the same calls.
"""

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass

from engine.domain.ids import AccountId
from engine.domain.numbers import E164
from engine.domain.times import Span
from engine.storage.operator_reads import CallSums, OperatorReads


@dataclass(frozen=True, slots=True)
class ReportLine:
    """What the calls of one account to one number cost."""

    account_id: AccountId
    number: E164
    sums: CallSums


async def report_lines(
    reads: OperatorReads, accounts: Iterable[AccountId], month: Span
) -> AsyncGenerator[ReportLine, None]:
    """Yields the lines of all accounts, in the order of their numbers; none for a number without calls.

    It reads a day at a time, so that no statement runs long, and holds the numbers of one account.
    """
    for account_id in accounts:
        sums: dict[E164, CallSums] = {}
        for day in month.by_day():
            for number, of_day in (await reads.calls_by_number(account_id, day)).items():
                sums[number] = sums.get(number, CallSums()) + of_day
        for number in sorted(sums):
            yield ReportLine(account_id, number, sums[number])
