"""What an AMI action can come to.

AmiError
├── AmiUnavailable   no link, or no answer in time: whether it was done is not known
└── AmiRefused       Asterisk answered, and did not do it (no such channel, no right)
"""

from engine.domain.errors import RentedNumbersError


class AmiError(RentedNumbersError):
    pass


class AmiUnavailable(AmiError):
    pass


class AmiRefused(AmiError):
    pass
