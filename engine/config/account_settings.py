"""The limits of an account: a part of `engine.config.settings`. An operator can give an account limits of its own."""

from pydantic import Field

from engine.config.asterisk_settings import AsteriskSettings
from engine.domain.account_limits import DEFAULT_ACCOUNT_LIMITS, MOST, AccountLimits
from engine.domain.policy import UsagePlan


class AccountSettings(AsteriskSettings):
    """What one account may use, unless `accounts limits` says otherwise for it."""

    max_bookings_per_account: int = Field(
        DEFAULT_ACCOUNT_LIMITS.max_bookings,
        ge=1,
        le=MOST.max_bookings,
        description="Bookings that one account may hold, including expired ones in their grace period, and including "
        "numbers that it gave back, while they are in quarantine. Choose less than there are numbers, so that others "
        "get some.",
    )
    new_bookings_a_day: int = Field(
        DEFAULT_ACCOUNT_LIMITS.new_bookings_a_day,
        ge=1,
        le=MOST.new_bookings_a_day,
        description="Bookings that one account may make within any 24 hours.",
    )
    requests_per_minute: int = Field(
        DEFAULT_ACCOUNT_LIMITS.requests_per_minute,
        ge=1,
        le=MOST.requests_per_minute,
        description="API requests that one account may send within a minute. All may come at once.",
    )
    stored_megabytes: int = Field(
        DEFAULT_ACCOUNT_LIMITS.stored_megabytes,
        ge=1,
        le=MOST.stored_megabytes,
        description="Megabytes that the requests of one account may have stored: answers kept for `Idempotency-Key`. "
        "Its sandbox may have stored as much again.",
    )

    session_plan: UsagePlan = Field(
        UsagePlan.LARGE,
        description="The usage plan that a session of Twilio Proxy's API gets, whose requests name none.",
    )

    calls_at_once: int | None = Field(
        None,
        ge=1,
        le=MOST.calls_at_once,
        description="Calls that one account may have at once on all its bookings, ringing ones included. Unset: half "
        "of what our own Asterisk carries, which is a call for every five ports from `RTP_START` to `RTP_END`; "
        f"{DEFAULT_ACCOUNT_LIMITS.calls_at_once} with an Asterisk that was there before. If there is one account only, "
        "set what Asterisk carries.",
    )

    @property
    def account_limits(self) -> AccountLimits:
        """The limits of an account that has none of its own."""
        return AccountLimits(
            self.max_bookings_per_account,
            self.new_bookings_a_day,
            self.requests_per_minute,
            self.stored_megabytes,
            self.calls_at_once or self._half_of_asterisk,
        )

    @property
    def _half_of_asterisk(self) -> int:
        """How many calls one account may have so that another one always finds room, too."""
        return max(1, self.most_calls // 2) if self.manage_asterisk else DEFAULT_ACCOUNT_LIMITS.calls_at_once
