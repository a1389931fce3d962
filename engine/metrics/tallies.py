"""What the parts of one engine count in memory, where no part has counts of its own."""

from collections.abc import Iterable

from engine.metrics.call_tallies import CallTallies
from engine.metrics.loop_lag import LoopLag
from engine.metrics.request_counts import RequestCounts
from engine.metrics.route_tallies import RouteTallies


class Tallies:
    """The counts of an engine.

    Args:
        trunks: The names of its trunks.

    Attributes:
        calls: Calls that have ended.
        routes: Calls that were decided on.
        requests: HTTP requests.
        lag: Lateness of the event loop.
        failed_sweep_steps: Steps of the sweep that failed although the database did not.
    """

    def __init__(self, trunks: Iterable[str]) -> None:
        self.calls = CallTallies(trunks)
        self.routes = RouteTallies()
        self.requests = RequestCounts()
        self.lag = LoopLag()
        self.failed_sweep_steps = 0
