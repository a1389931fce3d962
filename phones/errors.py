"""What can go wrong with a telephone.

One tree of exceptions:

    PhoneError               the program is missing, does not start, refuses a command
    ├── PhoneTimeoutError    what was waited for did not happen in time (also a TimeoutError)
    └── CallEndedError       the call was over before it was answered; `.ending` tells how
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Ending:
    """How a call ended.

    by: "local" if this telephone ended it (hang-up, or its sound file was over), else "remote".
    status: the SIP status the call was refused with (486, 503, …), None if it was not refused.
    reason: the words beside it.
    talked: seconds from answer to end, 0.0 if the call was never answered.
    """

    by: Literal["local", "remote"]
    status: int | None
    reason: str
    talked: float


class PhoneError(Exception):
    """A telephone cannot do what it was told."""


class PhoneTimeoutError(PhoneError, TimeoutError):
    """What was waited for did not happen in time."""


class CallEndedError(PhoneError):
    """The call was over before it was answered."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(f"the call ended: {ending}")
        self.ending = ending
