"""How long the free numbers will last."""

from engine.domain.times import DAY_MS

# The present pace is that of so many days.
PACE_DAYS = 7
PACE_MS = PACE_DAYS * DAY_MS


def days_left(free: int, net_taken: int) -> int | None:
    """Whole days until none is free; None: there do not become fewer. `net_taken`: how many more numbers were taken
    than came back, within PACE_DAYS."""
    return free * PACE_DAYS // net_taken if net_taken > 0 else None
