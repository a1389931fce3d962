"""Everything that the engine refuses or rejects, as exceptions.

RentedNumbersError
├── Refusal
│   ├── InvalidDestination
│   ├── DestinationNotAllowed
│   ├── DestinationIsOurs
│   ├── NotForPairs
│   ├── VoiceIsOff
│   ├── ReverseUnavailable
│   ├── UnknownPlan
│   ├── CallbackNotAcceptable
│   ├── AccountSuspended
│   ├── QuotaReached
│   ├── TooManyNewBookings (retryable)
│   ├── TooMuchStored (retryable)
│   ├── NumberNotFree
│   ├── NoNumberFree (retryable)
│   ├── BookingTooLong
│   ├── BookingBegun
│   ├── InvalidCaller
│   ├── TooManyBlockedCallers
│   ├── ClockTooFar
│   ├── IdempotencyKeyReused
│   ├── RedeliveredTooSoon (retryable)
│   ├── TooManyRedeliveries (retryable)
│   ├── NotFound
│   └── BookingGone
├── InvalidInput
├── IllegalTransition (a bug)
└── InvariantBroken (a bug)
"""


class RentedNumbersError(Exception):
    """Base class of every exception that this program raises on purpose."""


class Refusal(RentedNumbersError):
    """The engine understands the request and refuses it.

    Attributes:
        code: Stable and documented; clients decide by it.
        retryable: Whether the same request may succeed later.
        retry_after: Seconds after which it may; None: not known, or the usual time for this code.
        field: The field of the request that is wrong; None: not known, or the usual one for this code.
        place: Where in this field: keys and indexes that lead there; empty: the field as a whole.
    """

    code = "refused"
    retryable = False
    retry_after: int | None = None
    field: str | None = None
    place: tuple[str | int, ...] = ()


class InvalidDestination(Refusal):
    """The destination is not an existing telephone number."""

    code = "invalid_destination"


class DestinationNotAllowed(Refusal):
    """The operator does not allow calls to the destination's country, type or prefix."""

    code = "destination_not_allowed"


class DestinationIsOurs(Refusal):
    """The destination is itself a rented number: calls would loop."""

    code = "destination_is_ours"


class NotForPairs(Refusal):
    """The two numbers of a pair cannot change, and neither is shown to the other or called back."""

    code = "not_for_pairs"


class VoiceIsOff(Refusal):
    """The operator's system speaks to nobody, so it can announce no call."""

    code = "voice_is_off"


class ReverseUnavailable(Refusal):
    """No trunk asserts who calls, so no call could ever be a reverse call, or one of a pair."""

    code = "reverse_unavailable"

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class UnknownPlan(Refusal):
    """There is no such usage plan."""

    code = "unknown_plan"


class CallbackNotAcceptable(Refusal):
    """The engine may not send callbacks to this URL."""

    code = "callback_not_acceptable"


class AccountSuspended(Refusal):
    """The operator has suspended or closed the account."""

    code = "account_suspended"


class QuotaReached(Refusal):
    """The account holds as many bookings, and has as many numbers in quarantine, as the operator allows."""

    code = "quota_reached"


class TooManyNewBookings(Refusal):
    """The account has made as many bookings within 24 hours as the operator allows."""

    code = "too_many_new_bookings"
    retryable = True

    def __init__(self, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooMuchStored(Refusal):
    """The account's requests have stored as much as the operator allows."""

    code = "too_much_stored"
    retryable = True


class NumberNotFree(Refusal):
    """The requested number is not available; the refusal does not tell why."""

    code = "number_not_free"


class NoNumberFree(Refusal):
    """The pool has no free number that fits the request."""

    code = "no_number_free"
    retryable = True


class BookingTooLong(Refusal):
    """The renewal would set the booking's end too far in the future."""

    code = "booking_too_long"


class BookingBegun(Refusal):
    """The booking takes calls already, so its start cannot change any more."""

    code = "booking_begun"


class InvalidCaller(Refusal):
    """The number to block is not a telephone number."""

    code = "invalid_caller"


class TooManyBlockedCallers(Refusal):
    """The booking's list of blocked callers is full."""

    code = "too_many_blocked_callers"


class ClockTooFar(Refusal):
    """A sandbox's clock cannot be set that far ahead."""

    code = "clock_too_far"


class IdempotencyKeyReused(Refusal):
    """The client has used the idempotency key for another request."""

    code = "idempotency_key_reused"


class RedeliveredTooSoon(Refusal):
    """The callback was sent again moments ago."""

    code = "redelivered_too_soon"
    retryable = True

    def __init__(self, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooManyRedeliveries(Refusal):
    """Many callbacks of the account wait to be sent by now."""

    code = "too_many_redeliveries"
    retryable = True


class NotFound(Refusal):
    """The resource does not exist, or belongs to another account."""

    code = "not_found"


class BookingGone(Refusal):
    """The booking has existed and is gone for good."""

    code = "gone"


class InvalidInput(RentedNumbersError):
    """An operator's file or argument is wrong.

    Attributes:
        problems: One line for each problem, with its place (file line, field).
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class IllegalTransition(RentedNumbersError):
    """A state table does not have the requested step. This is a bug."""


class InvariantBroken(RentedNumbersError):
    """Credit does not add up. This is a bug; nothing of it is stored."""
