"""Counts the attempts to deliver callbacks, without those of sandboxes, which have clocks and paces of their own."""

from engine.callbacks.outbox import DeliveryReport
from engine.domain.retry import AttemptOutcome, HttpAnswer, Trouble
from engine.runtime.tallies import Histogram
from engine.storage.outbox import Delivery

STATUS_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
# In seconds. The first attempt follows within a second, unless the receiver's pace or a slow receiver delays it.
DELAY_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)


class DeliveryTallies:
    """What the callback worker counts.

    Attributes:
        attempts: Attempts by their outcomes: the class of the HTTP status, or why there was none.
        delay_seconds: How long after its creation the first attempt of a callback began.
    """

    def __init__(self) -> None:
        self.attempts = dict.fromkeys((*STATUS_CLASSES, *(_name(trouble) for trouble in Trouble), "other"), 0)
        self.delay_seconds = Histogram(DELAY_BOUNDS)

    def note(self, delivery: Delivery, report: DeliveryReport) -> None:
        """Counts a finished attempt."""
        outcome = _outcome(report.outcome)
        self.attempts[outcome if outcome in self.attempts else "other"] += 1
        if delivery.attempts == 1:
            self.delay_seconds.add(max(0, report.began_at - delivery.created_at) / 1000)


def _outcome(outcome: AttemptOutcome) -> str:
    if isinstance(outcome, HttpAnswer):
        return f"{outcome.status // 100}xx"
    return _name(outcome.trouble)


def _name(trouble: Trouble) -> str:
    """Returns the name of a trouble as a label: `tls_failed`."""
    return trouble.value.replace(" ", "_").lower()
