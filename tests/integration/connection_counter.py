"""Counts the TCP connections that this process attempts, at the last moment before the kernel is asked.

Python's audit events come from inside `socket.connect` itself, whatever library or event loop calls it. Attempts that
would leave the machine are counted and refused, so that a test can use public addresses.
"""

import contextlib
import errno
import ipaddress
import socket
import sys
from collections.abc import Iterator
from typing import Any

_counting: list[list[str]] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect" or not _counting:
        return
    connecting, target = arguments
    if connecting.type != socket.SOCK_STREAM or connecting.family == socket.AF_UNIX:
        return  # connecting a datagram socket sends nothing
    for attempts in _counting:
        attempts.append(str(target[0]))
    if not ipaddress.ip_address(target[0]).is_loopback:
        raise OSError(errno.ENETUNREACH, "stopped by the test")


sys.addaudithook(_audit)  # permanent: Python cannot remove an audit hook


@contextlib.contextmanager
def connections() -> Iterator[list[str]]:
    """Collect the addresses of all attempts inside the context."""
    attempts: list[str] = []
    _counting.append(attempts)
    try:
        yield attempts
    finally:
        _counting.remove(attempts)
