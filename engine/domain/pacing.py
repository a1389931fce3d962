"""How often callbacks may be sent to a receiver, so that nobody can use the engine to flood a third party.

A receiver has *agreed* if it has answered a callback with 2xx. One that has not is a *stranger*: its owner may never
have heard of us. It gets few attempts until it agrees. A receiver that has agreed gets what calls cause without delay,
but what a customer can cause at will and at no cost (redeliveries, callbacks of a sandbox) at a bounded rate.

A pace is the generic cell rate algorithm, which needs one instant for each receiver: `paced_until`, up to which the
attempts so far have used up the rate. An attempt that must wait is delayed, never dropped.
"""

from dataclasses import dataclass

from engine.domain.times import EpochMs

MINUTE_MS = 60_000
NOT_PACED = EpochMs(0)
# A callback can be sent again this long after it was last sent again, in milliseconds.
REDELIVERY_COOLDOWN_MS = MINUTE_MS


@dataclass(frozen=True, slots=True)
class Pace:
    """A rate of attempts, of which some may come at once.

    Attributes:
        per_minute: Attempts within a minute, in the long run.
        burst: Attempts that may come at once after a pause.
    """

    per_minute: int
    burst: int

    def ready_at(self, paced_until: EpochMs, now: EpochMs) -> EpochMs:
        """Returns when the next attempt may begin; an instant up to `now` means at once."""
        return EpochMs(self._bounded(paced_until, now) - (self.burst - 1) * self._interval_ms)

    def after(self, paced_until: EpochMs, now: EpochMs) -> EpochMs:
        """Returns the new `paced_until` when an attempt begins at `now`."""
        return EpochMs(max(self._bounded(paced_until, now), now) + self._interval_ms)

    @property
    def _interval_ms(self) -> int:
        return -(-MINUTE_MS // self.per_minute)

    def _bounded(self, paced_until: EpochMs, now: EpochMs) -> EpochMs:
        """Limits the wait that remains after the clock was set back."""
        return EpochMs(min(paced_until, now + self.burst * self._interval_ms))


@dataclass(frozen=True, slots=True)
class PaceRules:
    """The paces of callbacks.

    Attributes:
        stranger: Attempts to one receiver that has not agreed, of all accounts together.
        strangers_of_account: Attempts of one account to all receivers together that have not agreed. Without it,
            invented host names of one domain would each have a rate of their own.
        at_will: Attempts to one receiver that has agreed, of all accounts together, for callbacks that customers cause
            at will.
    """

    stranger: Pace = Pace(per_minute=10, burst=5)
    strangers_of_account: Pace = Pace(per_minute=60, burst=30)
    at_will: Pace = Pace(per_minute=120, burst=60)

    def times(self, factor: int) -> "PaceRules":
        """Returns paces that are faster by a factor."""
        paces = (self.stranger, self.strangers_of_account, self.at_will)
        return PaceRules(*(Pace(each.per_minute * factor, each.burst * factor) for each in paces))


DEFAULT_PACES = PaceRules()
