"""What pages say about a sandbox's own clock, and for how long a sandbox keeps what was tried out."""

from typing import Any

from engine.domain.times import DAY_MS, EpochMs, rfc3339
from engine.privacy.retention import SANDBOX_CALLBACKS_MS, SANDBOX_RECORDS_MS

RECORD_DAYS, CALLBACK_DAYS = SANDBOX_RECORDS_MS // DAY_MS, SANDBOX_CALLBACKS_MS // DAY_MS


def sandbox_data(clock_ahead_ms: int, now: EpochMs) -> dict[str, Any]:
    """Returns the time by a sandbox's clock and by the machine's, and for how many days it keeps records and callbacks.

    The operator's periods can be shorter.
    """
    return {
        "now": rfc3339(EpochMs(now + clock_ahead_ms)),
        "realNow": rfc3339(now),
        "recordDays": RECORD_DAYS,
        "callbackDays": CALLBACK_DAYS,
    }
