"""`make cluster`: runs a cluster on this machine until Ctrl-C, and does what its operator's programs would do."""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

from rich.console import Console

from cluster.node import PARTS
from cluster.running import Cluster
from cluster.watch import Watch
from engine.cli.errors import EXPECTED, messages_of
from engine.runtime import lock

DIRECTORY = Path("var") / "cluster"
LOCK = "lock"
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
                watch = Watch(cluster, _say)
                while True:
                    time.sleep(LOOK_SECONDS)
                    watch.look()
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
        pids = ", ".join(f"{part} {node.pid(part)}" for part in PARTS)
        lines.append(f"{node.name}: API {node.settings.http_url}, SIP {node.sip}; pids: {pids}")
    for server, role in ((postgresql.primary, "primary"), (postgresql.other, "synchronous standby")):
        lines.append(f"PostgreSQL, {role}: {server.host}:{server.port}, pid {server.pid}")
    lines += [
        f"Settings, secrets and logs: {directory}",
        "In another terminal:",
        "  make cluster-call          calls through Kamailio, step by step",
        f"  kill -9 {first.pid('engine')}                a part of a node: the other node takes the calls",
        f"  kill -9 {postgresql.primary.pid}                the primary: its standby is promoted",
        f"  kill -9 {postgresql.other.pid}                the standby: it is made anew",
        f"  kill -9 {cluster.kamailio.pid}                Kamailio: calls that are up go on, and it is started again",
        f"  RENTED_NUMBERS_CONFIG={first.config} .venv/bin/rented-numbers calls live",
        "Press Ctrl-C to stop.",
    ]
    for line in lines:
        _say(line)


if __name__ == "__main__":
    sys.exit(main())
