"""`make cluster`: runs a cluster on this machine until Ctrl-C, and does what its operator's programs would do.

A part of a node that ends is started again after a while, as systemd does, so that there is time to see what the other
node does meanwhile. If the primary dies, its standby is promoted at once, as Patroni does.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from cluster.node import PARTS, Node
from cluster.running import Cluster
from engine.cli.errors import EXPECTED, messages_of
from engine.runtime import lock

DIRECTORY = Path("var") / "cluster"
LOCK = "lock"
RESTART_SECONDS = 15.0
LOOK_SECONDS = 0.2

console = Console(highlight=False)


def main() -> int:
    """Runs the cluster. Returns exit status 0, or 1 if it cannot run."""
    os.umask(0o077)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    directory = DIRECTORY.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with lock.held(directory, LOCK):
            _clear(directory)
            _say("starting PostgreSQL with a standby, two nodes and Kamailio")
            with Cluster(directory) as cluster:
                _show(cluster, directory)
                _watch(cluster)
    except KeyboardInterrupt:
        _say("stopped")
    except EXPECTED as error:
        for message in messages_of(error):
            console.print(f"[red]✗[/] {message}", soft_wrap=True, markup=True)
        return 1
    return 0


def _clear(directory: Path) -> None:
    """Removes what an earlier cluster has left."""
    for path in directory.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def _say(line: str) -> None:
    console.print(f"  {line}", markup=False, soft_wrap=True)


def _show(cluster: Cluster, directory: Path) -> None:
    postgresql, first = cluster.postgresql, cluster.nodes[0]
    host, port = cluster.kamailio.address
    lines = [f"The cluster is up. Kamailio takes the carrier's calls at {host}:{port}, pid {cluster.kamailio.pid}."]
    for node in cluster.nodes:
        pids = ", ".join(f"{part} {_pid(node, part)}" for part in PARTS)
        lines.append(f"{node.name}: API {node.settings.http_url}, SIP {node.sip}; pids: {pids}")
    for server, role in ((postgresql.primary, "primary"), (postgresql.other, "synchronous standby")):
        lines.append(f"PostgreSQL, {role}: {server.host}:{server.port}, pid {server.pid}")
    lines += [
        f"Settings, secrets and logs: {directory}",
        "In another terminal:",
        "  make cluster-call          calls through Kamailio, step by step",
        f"  kill -9 {_pid(first, 'engine')}                a part of a node: the other node takes the calls",
        f"  kill -9 {postgresql.primary.pid}                the primary: its standby is promoted",
        f"  RENTED_NUMBERS_CONFIG={first.config} .venv/bin/rented-numbers calls live",
        "Press Ctrl-C to stop.",
    ]
    for line in lines:
        _say(line)


def _pid(node: Node, part: str) -> int | None:
    child = node.engine if part == "engine" else node.asterisk
    return child.pid if child else None


def _watch(cluster: Cluster) -> None:
    """Starts again what has ended, and promotes the standby when the primary has."""
    ended: dict[tuple[str, str], float] = {}
    while True:
        time.sleep(LOOK_SECONDS)
        if not cluster.postgresql.primary.running:
            _fail_over(cluster)
        for node in cluster.nodes:
            for part in PARTS:
                _restart(node, part, ended)


def _fail_over(cluster: Cluster) -> None:
    postgresql = cluster.postgresql
    _say(f"the primary {postgresql.primary.host} has ended")
    _timed(postgresql.promote, f"{postgresql.other.host} is the primary now")
    _timed(postgresql.follow, f"{postgresql.other.host} is its standby")


def _timed(step: Callable[[], None], what: str) -> None:
    began = time.monotonic()
    step()
    _say(f"{what}, after {time.monotonic() - began:.1f} s")


def _restart(node: Node, part: str, ended: dict[tuple[str, str], float]) -> None:
    since = ended.get((node.name, part))
    if since is None and not node.running(part):
        ended[node.name, part] = time.monotonic()
        _say(f"{node.name}: {part} has ended, and is started again in {RESTART_SECONDS:.0f} s")
    elif since is not None and time.monotonic() - since > RESTART_SECONDS:
        node.start(part)
        del ended[node.name, part]
        _say(f"{node.name}: {part} is up again, pid {_pid(node, part)}")


if __name__ == "__main__":
    sys.exit(main())
