"""What the checks of `doctor` find."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found about a part.

    Attributes:
        part: The part's name.
        verdict: How serious it is.
        what: What was found.
        fix: What to do about it; empty if nothing is wrong.
    """

    part: str
    verdict: Verdict
    what: str
    fix: str = ""
