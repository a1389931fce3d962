"""Figures that no operator changes, and a switch with which tests change them.

Tests and measurements run real processes and cannot wait as long as production does. They set
`RENTED_NUMBERS_TEST_TUNING` to a JSON object with fields of `Tuning`, for example `{"sweep_interval": 0.5}`. The
variable is for tests only: `doctor` and the engine's log warn when it is set.
"""

import os
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.config.sources import PREFIX
from engine.domain.errors import RentedNumbersError
from engine.domain.times import DAY_MS

TUNING_VARIABLE = f"{PREFIX}TEST_TUNING"

# The dialplan gives up unanswered FastAGI requests after this time, in seconds, which is early enough for a carrier to
# try its next route. Several engines have an equal share of it each.
ENGINES_SECONDS = 3
# An engine answers Asterisk within its share of this time, which is shorter: it gives up a call before it is left.
CALL_DEADLINE_SECONDS = 2
# With more of them, each would have too little time.
MAX_ENGINES = 3

# A trunk that has sent nothing for this time is silent. Over UDP the INVITE was sent at 0, 0.5 and 1.5 s by then
# (RFC 3261 section 17.1.1.2).
TRUNK_SILENT_SECONDS = 1.8

# A renewal must not move a booking's end further ahead than this.
RENEWAL_HORIZON_MS = 3_650 * DAY_MS

# Callbacks of each standing (see engine/callbacks/slots.py) that one engine delivers at the same time.
CALLBACK_WORKERS = 16

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class InvalidTuning(RentedNumbersError):
    """The variable's value is not a JSON object of known figures."""


class Tuning(BaseModel):
    """Intervals and limits of the running system. All times are in seconds.

    Attributes:
        sweep_interval: Time between two runs of the sweep, which ends what has expired and deletes what has been kept
            long enough.
        reconcile_interval: Time between two comparisons of the recorded calls with those in Asterisk.
        lost_call_margin: Grace period after a call's latest possible end before it is settled without an end report.
        callback_timeout: Time in which a receiver must answer a callback.
        callback_retries: Waits between the attempts to deliver a callback, each up to 10 % longer at random.
        callback_pace: Factor by which callbacks may go more often than the paces of engine/domain/pacing.py allow.
        expired_callbacks_window: Time in which the calls to one expired booking are counted together.
        beep_before: How long before the end of a call both sides hear the beep, on bookings that have it.
        trunk_silent: Time after which a trunk that has sent no answer at all is passed over.
        read_statement: How long a database statement that serves a request may run. Most take a millisecond.
        max_undecided_calls: Calls that may wait for a decision at once; further ones get 503. None: 16 for each core.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sweep_interval: Seconds = 10.0
    reconcile_interval: Seconds = 5.0
    lost_call_margin: Seconds = 60.0
    callback_timeout: Seconds = 15.0
    callback_retries: tuple[Seconds, ...] = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 36_000.0)
    callback_pace: int = Field(1, ge=1, le=500)
    expired_callbacks_window: Seconds = 3_600.0
    beep_before: Seconds = 60.0
    trunk_silent: Seconds = TRUNK_SILENT_SECONDS
    read_statement: Seconds = 1.0
    max_undecided_calls: int | None = Field(None, ge=1)


def read_tuning() -> Tuning:
    """Reads the figures from the environment: the constants above, unless a test overrides some.

    Raises:
        InvalidTuning: The variable is set and has unknown names or impossible values.
    """
    text = os.environ.get(TUNING_VARIABLE)
    if text is None:
        return Tuning()
    try:
        return Tuning.model_validate_json(text)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise InvalidTuning(f"{TUNING_VARIABLE} is for tests only and cannot be used: {problems}") from None
