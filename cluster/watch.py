"""What systemd and Patroni would do: starts again what has ended, promotes the standby, and makes a new one."""

import time
from collections.abc import Callable

from cluster.errors import ClusterFailed
from cluster.node import PARTS, Node
from cluster.running import Cluster

RESTART_SECONDS = 15.0


class Watch:
    """Looks after the parts of a cluster.

    A part of a node that ends is started again after a while, so that there is time to see what the other node does
    meanwhile. Without Kamailio or the standby nothing of that kind can be seen, so they are back at once.
    """

    def __init__(self, cluster: Cluster, say: Callable[[str], None]) -> None:
        """Takes the cluster, and what shows a line to who runs it."""
        self._cluster = cluster
        self._say = say
        self._ended: dict[tuple[str, str], float] = {}

    def look(self) -> None:
        """Looks once, and waits until what it starts is up.

        Raises:
            ClusterFailed: A part cannot be started, or both servers of PostgreSQL have ended.
        """
        postgresql = self._cluster.postgresql
        if not postgresql.primary.running:
            self._fail_over()
        elif not postgresql.other.running:
            self._make_standby()
        kamailio = self._cluster.kamailio
        if not kamailio.running:
            self._say("Kamailio has ended")
            self._timed(kamailio.restart, lambda: f"Kamailio is up again, pid {kamailio.pid}")
        for node in self._cluster.nodes:
            for part in PARTS:
                self._restart(node, part)

    def _fail_over(self) -> None:
        postgresql = self._cluster.postgresql
        if not postgresql.other.running:
            raise ClusterFailed("both servers of PostgreSQL have ended, so that none is left to go on with")
        self._say(f"the primary {postgresql.primary.host} has ended")
        self._timed(postgresql.promote, lambda: f"{postgresql.primary.host} is the primary now")
        self._timed(postgresql.follow, lambda: f"{postgresql.other.host} is its standby, pid {postgresql.other.pid}")

    def _make_standby(self) -> None:
        postgresql = self._cluster.postgresql
        self._say(f"the standby {postgresql.other.host} has ended: {postgresql.primary.host} goes on alone")
        postgresql.primary.demand_standby(wanted=False)
        self._timed(
            postgresql.follow, lambda: f"{postgresql.other.host} is its standby again, pid {postgresql.other.pid}"
        )

    def _timed(self, step: Callable[[], None], what: Callable[[], str]) -> None:
        began = time.monotonic()
        step()
        self._say(f"{what()}, after {time.monotonic() - began:.1f} s")

    def _restart(self, node: Node, part: str) -> None:
        since = self._ended.get((node.name, part))
        if since is None and not node.running(part):
            self._ended[node.name, part] = time.monotonic()
            self._say(f"{node.name}: {part} has ended, and is started again in {RESTART_SECONDS:.0f} s")
        elif since is not None and time.monotonic() - since > RESTART_SECONDS:
            node.start(part)
            del self._ended[node.name, part]
            self._say(f"{node.name}: {part} is up again, pid {node.pid(part)}")
