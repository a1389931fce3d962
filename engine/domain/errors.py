"""What the engine can refuse, as exceptions that carry their own verdict.

RentedNumbersError
├── Refusal                  the request is understood and refused; the caller can tell why from `code`
│   ├── InvalidDestination       not a telephone number that exists
│   ├── DestinationNotAllowed    of a country or kind that the operator does not allow
│   ├── DestinationIsOurs        a rented number as the destination of another: a loop
│   ├── UnknownPlan              no such usage plan
│   ├── CallbackNotAcceptable    not a URL that we would ever call
│   ├── QuotaReached             the account holds as many bookings as it may
│   ├── NumberNotFree            the number that is wanted cannot be had, for whatever reason
│   ├── NoNumberFree             the pool is empty (retryable)
│   ├── BookingTooLong           renewed so often that it would end beyond the horizon
│   ├── InvalidCaller            not a telephone number that could be blocked
│   ├── TooManyBlockedCallers    a booking's list of blocked callers is full
│   ├── ClockTooFar              a test world's clock cannot be set further ahead
│   ├── IdempotencyKeyReused     a key that stands for another request
│   ├── NotFound                 no such thing, or another account's
│   └── BookingGone              it was there, and is gone for good
├── InvalidInput             an operator's file or argument is wrong
├── IllegalTransition        a life cycle was asked for a step that its table does not have: a bug
└── InvariantBroken          credit that does not add up: a bug, never stored
"""


class RentedNumbersError(Exception):
    """Root of everything that this program raises on purpose."""


class Refusal(RentedNumbersError):
    """A refusal with a stable, documented `code`. `retryable`: the same request may succeed later."""

    code = "refused"
    retryable = False


class InvalidDestination(Refusal):
    code = "invalid_destination"


class DestinationNotAllowed(Refusal):
    code = "destination_not_allowed"


class DestinationIsOurs(Refusal):
    code = "destination_is_ours"


class UnknownPlan(Refusal):
    code = "unknown_plan"


class CallbackNotAcceptable(Refusal):
    code = "callback_not_acceptable"


class QuotaReached(Refusal):
    code = "quota_reached"


class NumberNotFree(Refusal):
    code = "number_not_free"


class NoNumberFree(Refusal):
    code = "no_number_free"
    retryable = True


class BookingTooLong(Refusal):
    code = "booking_too_long"


class InvalidCaller(Refusal):
    code = "invalid_caller"


class TooManyBlockedCallers(Refusal):
    code = "too_many_blocked_callers"


class ClockTooFar(Refusal):
    code = "clock_too_far"


class IdempotencyKeyReused(Refusal):
    code = "idempotency_key_reused"


class NotFound(Refusal):
    code = "not_found"


class BookingGone(Refusal):
    code = "gone"


class InvalidInput(RentedNumbersError):
    """Carries one line for each thing that is wrong, with its place (file line, field)."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class IllegalTransition(RentedNumbersError):
    pass


class InvariantBroken(RentedNumbersError):
    pass
