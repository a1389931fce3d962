"""Kills, stops, suspends, cuts off and promotes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM

from cluster.node import Node
from cluster.postgresql import HOSTS, Pair
from cluster.running import Cluster, wait_ready
from tests.chaos.trouble import Outage
from tests.cluster.patroni import TTL_SECONDS, PatroniPair
from tests.cluster.plan import NODES, WITH_PATRONI, Kind, Step
from tests.e2e.tcp_relay import TcpRelay

# An engine that was suspended is ended by its own watchdog within this time, or works on.
WATCHDOG_SECONDS = 2.5
ETCD_SECONDS = 30.0
ASTERISKS_GONE = (Kind.ASTERISK_KILLED, Kind.ASTERISK_STOPPED)


@dataclass(frozen=True)
class Happened:
    """A trouble, from its begin until the part was back (epoch seconds). `node`: the node that it happened to."""

    kind: Kind
    node: int
    began: float
    ended: float


@dataclass
class Troubles:
    """Everything that has happened."""

    all: list[Happened] = field(default_factory=list)

    def of(self, *kinds: Kind) -> list[Happened]:
        return [each for each in self.all if each.kind in kinds]

    def asterisk_outages(self, node: int) -> list[Outage]:
        """When the Asterisk of a node was gone, with its calls."""
        return [Outage(each.began, each.ended) for each in self.of(*ASTERISKS_GONE) if each.node == node]


class Relays:
    """Relays between the engines and the database, by which a node can be cut off."""

    def __init__(self) -> None:
        self._relays: list[list[TcpRelay]] = [[] for _ in range(NODES)]

    def open(self, postgresql: Pair, node: int) -> str:
        """Opens a node's relays. Returns where it reaches both servers."""
        self._relays[node] = [TcpRelay(postgresql.primary.port, host) for host in HOSTS]
        return ",".join(f"127.0.0.1:{relay.port}" for relay in self._relays[node])

    def close(self) -> None:
        for relay in (each for relays in self._relays for each in relays):
            relay.close()

    @contextmanager
    def cut_off(self, node: int) -> Iterator[None]:
        """Forwards nothing between a node and the database, and ends no connection, as a network does that fails."""
        for relay in self._relays[node]:
            relay.pause()
        yield
        for relay in self._relays[node]:
            relay.resume()


class Trouble:
    """Does to the cluster what a plan says, and notes when."""

    def __init__(self, cluster: Cluster, relays: Relays) -> None:
        self.happened = Troubles()
        self._cluster = cluster
        self._relays = relays
        self._actions: dict[Kind, Callable[[Node, Step], None]] = {
            Kind.ENGINE_KILLED: self._engine_killed,
            Kind.ENGINES_RESTARTED: self._engines_restarted,
            Kind.ENGINE_HUNG: self._engine_hung,
            Kind.ASTERISK_KILLED: self._asterisk_killed,
            Kind.ASTERISK_STOPPED: self._asterisk_stopped,
            Kind.ASTERISK_HUNG: self._asterisk_hung,
            Kind.NODE_CUT_OFF: self._node_cut_off,
            Kind.PRIMARY_KILLED: self._primary_killed,
            Kind.PRIMARY_HUNG: self._primary_hung,
            Kind.KAMAILIO_KILLED: self._kamailio_killed,
            Kind.SWITCHED_OVER: self._switched_over,
            Kind.PATRONI_KILLED: self._patroni_killed,
            Kind.PRIMARY_LOST: self._primary_lost,
            Kind.ETCD_KILLED: self._etcd_killed,
            Kind.STANDBY_KILLED: self._standby_killed,
        }

    def make(self, step: Step) -> None:
        """Waits until all is well and the calm is over. Then it makes the trouble, until the part works again."""
        self.wait_well()
        time.sleep(step.calm)
        began = time.time()
        self._actions[step.kind](self._cluster.nodes[step.node], step)
        self.happened.all.append(Happened(step.kind, step.node, began, time.time()))
        if step.kind in WITH_PATRONI:
            self._cluster.postgresql.follow()

    def wait_well(self) -> None:
        """Waits until both nodes decide on calls, and Kamailio sends them some."""
        for node in self._cluster.nodes:
            wait_ready(node)
            self._cluster.kamailio.wait_for(node.sip, "AP")

    def kill_engine(self, node: Node, seconds: float = 0.0) -> None:
        """Kills an engine, and starts it again after some seconds."""
        node.signal("engine", SIGKILL)
        time.sleep(seconds)
        node.start_engine()
        wait_ready(node)

    def _engine_killed(self, node: Node, step: Step) -> None:
        self.kill_engine(node, step.seconds)

    def _engines_restarted(self, node: Node, step: Step) -> None:
        others = [each for each in self._cluster.nodes if each is not node]
        for each in (node, *others):
            each.stop_engine()
            each.start_engine()
            wait_ready(each)

    def _engine_hung(self, node: Node, step: Step) -> None:
        node.signal("engine", SIGSTOP)
        time.sleep(step.seconds)
        node.signal("engine", SIGCONT)
        time.sleep(WATCHDOG_SECONDS)
        if not node.running("engine"):
            node.start_engine()
        wait_ready(node)

    def _asterisk_killed(self, node: Node, step: Step) -> None:
        node.signal("asterisk", SIGKILL)
        time.sleep(step.seconds)
        node.start_asterisk()

    def _asterisk_stopped(self, node: Node, step: Step) -> None:
        node.signal("asterisk", SIGTERM)
        time.sleep(step.seconds)
        node.signal("asterisk", SIGKILL)  # if it has not ended
        node.start_asterisk()

    def _asterisk_hung(self, node: Node, step: Step) -> None:
        node.signal("asterisk", SIGSTOP)
        time.sleep(step.seconds)
        node.signal("asterisk", SIGCONT)

    def _node_cut_off(self, node: Node, step: Step) -> None:
        with self._relays.cut_off(self._cluster.nodes.index(node)):
            time.sleep(step.seconds)
        wait_ready(node)

    def _primary_killed(self, node: Node, step: Step) -> None:
        self._cluster.postgresql.primary.kill()
        self._cluster.postgresql.promote()

    def _primary_hung(self, node: Node, step: Step) -> None:
        primary = self._cluster.postgresql.primary
        primary.suspend()
        time.sleep(step.seconds)
        primary.resume()

    def _kamailio_killed(self, node: Node, step: Step) -> None:
        self._cluster.kamailio.kill()
        self._cluster.kamailio.start()

    @property
    def _patroni(self) -> PatroniPair:
        assert isinstance(self._cluster.postgresql, PatroniPair)
        return self._cluster.postgresql

    def _switched_over(self, node: Node, step: Step) -> None:
        self._patroni.switch_over()

    def _patroni_killed(self, node: Node, step: Step) -> None:
        """The server works on while the standby is promoted: two take connections, and only one can commit."""
        former = self._patroni.primary
        former.kill_patroni()
        self._patroni.promote()
        time.sleep(step.seconds)
        former.start()

    def _primary_lost(self, node: Node, step: Step) -> None:
        former = self._patroni.primary
        former.suspend()
        self._patroni.promote()
        time.sleep(step.seconds)
        former.resume()

    def _etcd_killed(self, node: Node, step: Step) -> None:
        self._patroni.kill_etcd()
        time.sleep(ETCD_SECONDS)
        self._patroni.start_etcd()
        # With failsafe_mode, the primary itself told the standby that it leads. The standby believes this for so long.
        time.sleep(TTL_SECONDS)

    def _standby_killed(self, node: Node, step: Step) -> None:
        standby = self._patroni.other
        standby.kill_patroni()
        standby.kill()
        time.sleep(step.seconds)
        standby.start()
