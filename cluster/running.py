"""A running cluster: PostgreSQL with its standby, two nodes, and Kamailio before them."""

import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from cluster.errors import ClusterFailed
from cluster.kamailio import Kamailio
from cluster.node import Node
from cluster.postgresql import Pair
from engine.config.secrets import kamailio_secrets
from engine.config.settings import Settings

KAMAILIO = "127.0.0.5"
NODES = ("127.0.0.21", "127.0.0.22")
# The carrier, which the telephones play.
CARRIER = "127.0.0.1"
READY_SECONDS = 60.0


@dataclass(frozen=True)
class Ports:
    """The ports of all parts. Each part has an address of its own, so the nodes share them."""

    sip: int = 5060
    http: int = 8080
    fastagi: int = 4573
    ami: int = 5038
    metrics: int = 9464
    postgresql: int = 5432
    carrier: int = 5090
    rtp: range = field(default_factory=lambda: range(10000, 11000))


class Cluster:
    """The cluster runs inside its `with`.

    Attributes:
        postgresql: The two servers.
        nodes: The nodes.
        kamailio: Kamailio.
    """

    def __init__(
        self,
        directory: Path,
        ports: Ports | None = None,
        *,
        settings: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
        database: Callable[[Pair, int], str] | None = None,
        servers: Callable[[Path, int], Pair] = Pair,
    ) -> None:
        """Prepares a cluster.

        Args:
            directory: Where its files are. Its path is short, because those of sockets are limited.
            ports: The ports; by default those that an installation has.
            settings: Further settings of both nodes.
            environment: Further environment variables of both nodes.
            database: Returns the hosts at which a node reaches both servers; by default the servers' own.
            servers: Makes both servers, in a directory and with a port.
        """
        self.ports = ports or Ports()
        self._directory = directory
        self._settings = settings or {}
        self._environment = environment or {}
        self._database = database
        self.postgresql = servers(directory, self.ports.postgresql)
        self.nodes: list[Node] = []
        self._kamailio: Kamailio | None = None

    def __enter__(self) -> Self:
        """Starts all parts, and waits until calls can come in."""
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def kamailio(self) -> Kamailio:
        """Kamailio, once it was started."""
        assert self._kamailio is not None
        return self._kamailio

    def _start(self) -> None:
        self.postgresql.start()
        for number in range(len(NODES)):
            values = {**self._values(number), **self._settings}
            node = Node(f"node{number + 1}", self._directory, values, self._environment)
            self.nodes.append(node)
            node.prepare(self.nodes[0] if number else None)
            node.start_engine()
            node.start_asterisk()
        for node in self.nodes:
            wait_ready(node)
        first = self.nodes[0].settings
        shared = kamailio_secrets(first.data_dir / "secrets")
        self._kamailio = Kamailio(first, shared, self._directory / "kamailio")
        self._kamailio.start()
        for node in self.nodes:
            self._kamailio.wait_for(node.sip, "AP")

    def _values(self, number: int) -> dict[str, object]:
        host, ports = NODES[number], self.ports
        return {
            "profile": "demo",
            "database_url": self.postgresql.url(self._database(self.postgresql, number) if self._database else ""),
            "http_host": host,
            "http_port": ports.http,
            "metrics_address": f"{host}:{ports.metrics}",
            "fastagi_host": host,
            "fastagi_port": ports.fastagi,
            "ami_host": host,
            "ami_port": ports.ami,
            "sip_host": host,
            "sip_port": ports.sip,
            "rtp_start": ports.rtp.start,
            "rtp_end": ports.rtp.stop - 1,
            "kamailio_host": KAMAILIO,
            "kamailio_port": ports.sip,
            "nodes": [f"{each}:{ports.sip}" for each in NODES],
            "trunks": [{"name": "carrier", "uri": f"sip:{CARRIER}:{ports.carrier}", "addresses": [CARRIER]}],
            # It has a port of its own on 127.0.0.1, which two nodes on one machine cannot share.
            "browser_phone": False,
        }

    def close(self) -> None:
        """Ends all parts, in the order of a call."""
        if self._kamailio is not None:
            self._kamailio.kill()
        for node in self.nodes:
            node.close()
        self.postgresql.remove()


def wait_ready(node: Node, seconds: float = READY_SECONDS) -> float:
    """Waits until a node decides on calls. Returns for how long."""
    began = time.monotonic()
    while not is_ready(node.settings):
        if time.monotonic() - began > seconds:
            raise ClusterFailed(f"{node.name} is not ready; its engine has logged:\n{node.log[-3000:]}")
        time.sleep(0.05)
    return time.monotonic() - began


def is_ready(settings: Settings) -> bool:
    """Whether the node with these settings decides on calls."""
    try:
        with urllib.request.urlopen(f"{settings.http_url}/ready", timeout=2):  # noqa: S310  the scheme is ours
            return True
    except OSError:  # HTTPError is one, too
        return False
