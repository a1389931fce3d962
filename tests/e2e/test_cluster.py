"""A short run of `make cluster-chaos`; on its cluster what `make cluster` does, and a call of `make cluster-call`."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from cluster import call
from cluster.errors import ClusterFailed
from cluster.running import Cluster
from cluster.watch import Watch
from phones.demo_steps import console
from tests.cluster.plan import Kind, Wanted
from tests.cluster.run import run

pytestmark = pytest.mark.runs_once


def lose_and_get_back(cluster: Cluster, said: list[str]) -> None:
    """Kills the standby and Kamailio, as the lines that `make cluster` prints suggest, and lets it look once."""
    standby, kamailio = cluster.postgresql.other, cluster.kamailio
    lost = (standby.pid, kamailio.pid)
    for part in (standby, kamailio):
        assert part.pid is not None
        os.kill(part.pid, signal.SIGKILL)
        while part.running:
            time.sleep(0.01)
    Watch(cluster, said.append).look()
    assert standby.pid not in lost
    assert kamailio.pid not in lost
    assert cluster.postgresql.primary.has_synchronous_standby()
    for node in cluster.nodes:
        kamailio.wait_for(node.sip, "AP")


def make_a_call(directory: Path) -> None:
    with console.capture() as shown:
        status = call.main(directory, both=False)
    assert status == 0, shown.get()
    assert "has the call" in shown.get()


def try_out(said: list[str], cluster: Cluster, directory: Path) -> None:
    lose_and_get_back(cluster, said)
    make_a_call(directory)


@pytest.mark.timeout(180)
def test_a_promotion_under_calls_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Afterwards the standby and Kamailio are killed, are back at once, and a call is made."""
    wanted = Wanted(seed=20, rounds=1, rate=6, crowd=0, moves=0, kinds=(Kind.PRIMARY_KILLED,))
    said: list[str] = []
    report = run(wanted, lambda line: None, partial(try_out, said))
    with capsys.disabled():
        print("", *report.lines(), *said, sep="\n")  # noqa: T201  figures
    assert report.failures == []
    assert [line.partition(":")[0] for line in said[::2]] == ["the standby 127.0.0.31 has ended", "Kamailio has ended"]
    # The run was no empty one.
    assert len(report.books.answered) > 10
    assert len(report.troubles.of(Kind.PRIMARY_KILLED)) == 1


def test_if_both_servers_of_postgresql_have_ended_the_cluster_says_so(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)  # nothing of it runs
    try:
        with pytest.raises(ClusterFailed, match="both servers of PostgreSQL have ended"):
            Watch(cluster, lambda line: None).look()
    finally:
        cluster.close()
