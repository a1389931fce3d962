"""The words for the end of a call: its disposition, for its CDR, and its hangup cause, for Asterisk."""

from enum import IntEnum, StrEnum


class Disposition(StrEnum):
    """How a call ended, as its CDR records it.

    The engine rejected the call for CHANGED_HANDS to NO_LAST_CALLER. GAVE_WAY means that it rang, and the engine ended
    it because another call came in at a limit. LOST means that no report of its end arrived.
    """

    ANSWERED = "ANSWERED"
    BUSY = "BUSY"
    NO_ANSWER = "NO_ANSWER"
    CANCELLED = "CANCELLED"
    UNREACHABLE = "UNREACHABLE"
    CHANGED_HANDS = "CHANGED_HANDS"
    EXPIRED = "EXPIRED"
    ACCOUNT_SUSPENDED = "ACCOUNT_SUSPENDED"
    NOT_BEGUN = "NOT_BEGUN"
    PAUSED = "PAUSED"
    OUTSIDE_HOURS = "OUTSIDE_HOURS"
    ALL_SLOTS_HELD = "ALL_SLOTS_HELD"
    CONCURRENCY_LIMIT = "CONCURRENCY_LIMIT"
    ACCOUNT_LIMIT = "ACCOUNT_LIMIT"
    CALLER_LIMIT = "CALLER_LIMIT"
    CALLER_RINGING = "CALLER_RINGING"
    CALLER_BLOCKED = "CALLER_BLOCKED"
    ANONYMOUS_REFUSED = "ANONYMOUS_REFUSED"
    FORBIDDEN = "FORBIDDEN"
    NO_LAST_CALLER = "NO_LAST_CALLER"
    GAVE_WAY = "GAVE_WAY"
    LOST = "LOST"


class Cause(IntEnum):
    """Hangup causes of ITU-T Q.850.

    Asterisk turns them into SIP answers: 1→404, 17→486, 19→480, 21→403, 22→410, 34→503.
    """

    UNALLOCATED = 1
    USER_BUSY = 17
    NO_ANSWER = 19
    CALL_REJECTED = 21
    NUMBER_CHANGED = 22
    NO_CIRCUIT = 34
