"""What can go wrong with a cluster."""

from engine.domain.errors import RentedNumbersError


class ClusterFailed(RentedNumbersError):
    """A part did not start or does not answer. The message says which one, and what it has logged."""
