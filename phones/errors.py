"""The exceptions of telephones.

PhoneError               the program is missing, does not start, or refuses a command
├── PhoneTimeoutError    an expected event did not happen in time (also a TimeoutError)
└── CallEndedError       the call ended before it was answered; `.ending` says how
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Ending:
    """How a call ended.

    Attributes:
        by: "local" if this telephone ended it (it hung up, or its sound file ended), else "remote".
        status: The SIP status that refused the call (486, 503, …); None if it was not refused.
        reason: The reason phrase of the status, or baresip's own words.
        talked: Seconds from answer to end; 0.0 if the call was not answered.
    """

    by: Literal["local", "remote"]
    status: int | None
    reason: str
    talked: float


class PhoneError(Exception):
    """A telephone cannot carry out a command."""


class PhoneTimeoutError(PhoneError, TimeoutError):
    """An expected event did not happen in time."""


class CallEndedError(PhoneError):
    """The call ended before it was answered."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(f"the call ended: {ending}")
        self.ending = ending
