"""The messages of RFC 4475, written from its descriptions, with the numbers and addresses of the system under test."""

from tests.e2e.torture.application import APPLICATION, TWICE
from tests.e2e.torture.case import Case, Fate
from tests.e2e.torture.invalid import INVALID
from tests.e2e.torture.valid import VALID

CASES = (*VALID, *INVALID, *APPLICATION, *TWICE)

__all__ = ["CASES", "Case", "Fate"]
