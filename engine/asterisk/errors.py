"""How an AMI action can fail.

AmiError
├── AmiUnavailable   no link, or no answer in time: whether Asterisk executed the action is unknown
└── AmiRefused       Asterisk answered and did not execute the action (no such channel, no right)
"""

from engine.domain.errors import RentedNumbersError


class AmiError(RentedNumbersError):
    """Any failure of an AMI action."""


class AmiUnavailable(AmiError):
    """There is no link, or no answer came in time; Asterisk may have executed the action."""


class AmiRefused(AmiError):
    """Asterisk did not execute the action."""
