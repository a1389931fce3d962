"""Counts HTTP requests by what bounds their number: routes, not paths."""

from collections import Counter

# Others are counted together: a client may send any word as its method.
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
OTHER_METHOD = "other"
# The route of a request that no route serves.
NO_ROUTE = "none"


class RequestCounts:
    """Requests by route, method and class of the answer's status."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter()

    def note(self, route: str | None, method: str, status: int) -> None:
        """Counts a request.

        Args:
            route: The path of its route, with placeholders; None if there is none.
            method: Its method.
            status: The status of the answer.
        """
        counted = method if method in METHODS else OTHER_METHOD
        self.counts[route or NO_ROUTE, counted, f"{status // 100}xx"] += 1
