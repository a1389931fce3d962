"""The cluster of `make cluster`: PostgreSQL with a standby, two nodes, and Kamailio before them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import call
from cluster.running import Cluster, is_ready
from phones.demo_steps import console
from tests.cluster.starting import cluster_on_free_ports


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Cluster, Path]]:
    with cluster_on_free_ports() as started:
        yield started


def test_cluster_call_reaches_both_nodes_before_and_after_a_promotion(running: tuple[Cluster, Path]) -> None:
    cluster, directory = running
    servers = cluster.postgresql
    servers.primary.kill()
    servers.promote()
    with console.capture() as shown:
        status = call.main(directory)
    assert status == 0, shown.get()
    assert [f"{node.name} has the call" in shown.get() for node in cluster.nodes] == [True, True]
    servers.follow()
    assert servers.primary.has_synchronous_standby()
    assert cluster.nodes[0].command("ledger", "verify") == []
    assert all(is_ready(node.settings) for node in cluster.nodes)
