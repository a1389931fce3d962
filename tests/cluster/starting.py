"""A cluster on free ports, so that several can run on one machine."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.running import Cluster, Ports
from phones.ports import free_port, free_port_range, give_back

RTP_PORTS = 500


@contextmanager
def cluster_on_free_ports(**options: Any) -> Iterator[tuple[Cluster, Path]]:
    """Runs a cluster, with the options of `Cluster`. Yields it and its directory."""
    # A short path, because the paths of sockets are limited.
    directory = Path(tempfile.mkdtemp(prefix="rc-"))
    rtp = free_port_range(RTP_PORTS)
    names = ("sip", "http", "fastagi", "ami", "metrics", "postgresql", "carrier")
    ports = Ports(**{name: free_port() for name in names}, rtp=range(rtp, rtp + RTP_PORTS))
    mask = os.umask(0o077)
    try:
        with Cluster(directory, ports, **options) as cluster:
            yield cluster, directory
    finally:
        os.umask(mask)
        give_back(rtp, RTP_PORTS)
        shutil.rmtree(directory, ignore_errors=True)
