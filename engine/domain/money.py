"""Amounts of money: whole numbers of a currency's smallest unit. No fractions, so nothing is ever rounded."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

CURRENCY = re.compile(r"[A-Z]{3}")
# ISO 4217: how many digits follow the point, where they are not two.
_DIGITS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW"), 0),
    **dict.fromkeys(("PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of money: what a plan costs, or what several plans cost together.

    Attributes:
        amount: In the currency's smallest unit: 990 is 9.90 EUR.
        currency: Its code in ISO 4217.
    """

    amount: int
    currency: str

    def __str__(self) -> str:
        digits = _DIGITS.get(self.currency, 2)
        whole, rest = divmod(self.amount, 10**digits)
        return f"{whole}.{rest:0{digits}} {self.currency}" if digits else f"{whole} {self.currency}"


def summed(amounts: Iterable[Money]) -> tuple[Money, ...]:
    """Adds up amounts of each currency, in the order of their codes. Amounts of two currencies do not add up."""
    sums = Counter[str]()
    for each in amounts:
        sums[each.currency] += each.amount
    return tuple(Money(sums[currency], currency) for currency in sorted(sums))


def as_text(amounts: Iterable[Money]) -> str:
    """Returns amounts of several currencies as people write them, such as `9.90 EUR + 12.00 USD`."""
    return " + ".join(map(str, amounts))
