"""Finds the highest rate of calls that a system carries, by the algorithm of RFC 7502, section 4.10.

The rate rises by a part W while all sessions of a trial succeed. It falls by a part D after a trial in which one fails,
and both parts are halved then. The search ends when TRIALS_AT_END trials have succeeded without a higher rate.
Differences from the RFC: it proposes 50,000 sessions for a trial and ten trials at the end, which would take a day, and
halves W and D down to 0.10 only.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

SESSIONS = 600
FIRST_RATE = 40
W, LEAST_PART = 0.20, 0.05
TRIALS_AT_END = 3
# No system came near; this ends a search that would never find an end.
MOST_TRIALS = 60


@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
        rate: Sessions attempted in a second.
        succeeded: Whether all its sessions succeeded.
        text: What happened, for readers.
    """

    rate: int
    succeeded: bool
    text: str


def session_rate(attempt: Callable[[int, int], Trial]) -> tuple[int, list[Trial]]:
    """Searches the highest rate at which all sessions succeed.

    Args:
        attempt: Attempts sessions: their rate, their number.

    Returns:
        The rate, 0 if none succeeded, and the trials in their order.
    """
    rate, highest, at_end = FIRST_RATE, 0, 0
    rise, fall = W, max(0.10, W / 2)
    trials: list[Trial] = []
    while at_end < TRIALS_AT_END and len(trials) < MOST_TRIALS and rate > 0:
        trial = attempt(rate, SESSIONS)
        trials.append(trial)
        if trial.succeeded:
            if rate > highest:
                highest = rate
            else:
                at_end += 1
            rate = max(rate + 1, math.floor(rate + rise * rate))
        else:
            rate = min(rate - 1, math.floor(rate - fall * rate))
            rise, fall = max(LEAST_PART, rise / 2), max(LEAST_PART, fall / 2)
    return highest, trials
