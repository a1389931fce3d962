"""Finds free ports on 127.0.0.1, and checks whether a port is in use.

The ports lie below the range that the kernel uses for outgoing connections, so that no connection can take a port
between the check and the moment when a program binds it. A port is given out once, also among several processes: the
process that takes ports locks their bytes in a common file, and the kernel releases the locks when the process ends.
"""

import fcntl
import functools
import os
import random
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from phones.errors import PhoneError

Transport = Literal["udp", "tcp"]

# Each length of range has a part of its own: single ports, chosen at random, would leave no long range free.
SINGLE = range(12_000, 15_000)
SHORT = range(15_000, 18_000)
LONG = range(18_000, 32_000)
LONG_COUNT = 40
LONG_STEP = 10
ATTEMPTS = 200
TCP_LISTEN = "0A"  # state column of /proc/net/tcp
LOOPBACK_OR_ANY = ("0100007F", "00000000")  # address column: 127.0.0.1 and 0.0.0.0, little-endian

_given: set[int] = set()
# A thread must not test ports that another thread has claimed and not yet noted: the file locks are the process's.
_choosing = threading.Lock()
_choose = random.SystemRandom()  # tests that seed `random` do not affect it


def free_port() -> int:
    """Returns a port that is free on 127.0.0.1 for UDP and TCP."""
    return free_port_range(1)


def free_port_range(count: int) -> int:
    """Returns the first of `count` consecutive ports that are free on 127.0.0.1 for UDP and TCP: an even one, for RTP.

    A single port may be odd.
    """
    part = SINGLE if count == 1 else SHORT if count < LONG_COUNT else LONG
    with _choosing:
        for first in _places(part, count):
            ports = range(first, first + count)
            if _given.isdisjoint(ports) and _claimed(ports):
                if _all_free(ports):
                    _given.update(ports)
                    return first
                _release(ports)
    raise PhoneError(f"no {count} free ports in {part.start}-{part.stop}")


def _places(part: range, count: int) -> Iterator[int]:
    """Yields the first ports of the ranges to try, in their order."""
    stop = part.stop - count + 1
    if part is LONG:
        # The first place that is free: a few ranges at random places would leave no room for one of 2,000.
        yield from range(part.start, stop, LONG_STEP)
        return
    # At random first: packets for a telephone that has just ended may still arrive at its ports, so the next one should
    # rarely get them. Then all places in order. Short ranges of one length lie next to each other without gaps.
    places = range(part.start, stop, 1 if count == 1 else count + count % 2)
    yield from (_choose.choice(places) for _ in range(ATTEMPTS))
    yield from places


def give_back(first: int, count: int = 1) -> None:
    """Releases ports that `free_port_range` returned."""
    with _choosing:
        _given.difference_update(range(first, first + count))
        _release(range(first, first + count))


def is_bound(port: int, transport: Transport = "udp") -> bool:
    """Whether a program on this machine uses the port on 127.0.0.1 (TCP: listens on it). Sends nothing."""
    sockets = (line.split() for line in Path(f"/proc/net/{transport}").read_text().splitlines()[1:])
    wanted = {f"{address}:{port:04X}" for address in LOOPBACK_OR_ANY}
    return any(
        local in wanted and (transport == "udp" or state == TCP_LISTEN)
        for _number, local, _remote, state, *_rest in sockets
    )


@functools.cache
def _claims() -> int:
    """Opens the common file, with byte n for port n. It stays open, because closing it releases every lock."""
    path = Path(tempfile.gettempdir()) / f"rented-numbers-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _claimed(ports: range) -> bool:
    try:
        fcntl.lockf(_claims(), fcntl.LOCK_EX | fcntl.LOCK_NB, len(ports), ports.start)
    except OSError:
        return False
    return True


def _release(ports: range) -> None:
    fcntl.lockf(_claims(), fcntl.LOCK_UN, len(ports), ports.start)


def _all_free(ports: range) -> bool:
    return all(_is_free(port, kind) for port in ports for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM))


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    # One socket at a time: a long range would need more open files than a process may have.
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
