"""Usage plans: what a booking gets to spend, and for how long."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class UsagePlan(StrEnum):
    SMALL = "SMALL"
    MEDIUM = "MEDIUM"
    LARGE = "LARGE"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one plan gives: whole `seconds` of answered time, `calls`, and `valid_for_ms` of validity."""

    seconds: int
    calls: int
    valid_for_ms: int


Plans = Mapping[UsagePlan, Allowance]
