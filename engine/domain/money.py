"""Amounts of money: whole numbers of a currency's smallest unit. No fractions, so nothing is ever rounded."""

import re
from dataclasses import dataclass

CURRENCY = re.compile(r"[A-Z]{3}")
# ISO 4217: how many digits follow the point, where they are not two.
_DIGITS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW"), 0),
    **dict.fromkeys(("PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}


@dataclass(frozen=True, slots=True)
class Price:
    """What a plan costs.

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
