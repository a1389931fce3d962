"""Who was refused, in the form in which Asterisk's security log says it, so that one fail2ban filter reads both.

Nothing that a client sent goes into it: service and event are our own words, and the address is the connection's.
"""

import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import structlog

from engine.runtime.addresses import plain_address

log = structlog.get_logger(__name__)

MAX_BYTES = 5 * 1024 * 1024
WARN_SECONDS = 60.0
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")


class SecurityLog:
    """`path` and, when it is full, `path` with `.1` behind it: never more than twice `max_bytes`.

    `listeners`: address and port of each service. A file that somebody else moves away is begun anew.
    """

    def __init__(self, path: Path, listeners: Mapping[str, tuple[str, int]], *, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._local = {service: _local(*listener) for service, listener in listeners.items()}
        self._max_bytes = max_bytes
        self._warned_at = -WARN_SECONDS
        with suppress(OSError):
            self._append(b"")  # fail2ban does not start on a file that is not there

    def refused(self, service: str, event: str, address: str) -> None:
        """Note that `service` refused the peer at `address` (an IP address, no port).

        `event`: `InvalidPassword`, `InvalidAccountID`, `ChallengeResponseFailed` or `FailedACL`, as Asterisk has them.
        A full disk fails nothing. Raises ValueError for a service or event that is no word.
        """
        if not _WORD.fullmatch(service) or not _WORD.fullmatch(event):
            raise ValueError("a service and an event are single words")
        try:
            remote = plain_address(address)
        except ValueError:
            self._warn("no address")
            return
        if remote.is_unspecified:  # a connection that is gone: there is nobody to keep out
            return
        line = _line(service, event, self._local.get(service, _local("", 0)), f"{_shown(remote)}/0")
        try:
            self._append(line.encode())
        except OSError as error:
            self._warn(type(error).__name__)

    def _append(self, line: bytes) -> None:
        """Opened for each line: it may have been moved, and there are few, as failures are limited."""
        with suppress(FileNotFoundError):
            if self._path.stat().st_size + len(line) > self._max_bytes:
                self._path.replace(self._path.with_name(self._path.name + ".1"))
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def _warn(self, why: str) -> None:
        if time.monotonic() - self._warned_at >= WARN_SECONDS:
            self._warned_at = time.monotonic()
            log.warning("security_log_failed", error=why)


def _local(host: str, port: int) -> str:
    """A service that listens on a name, or is not known, has none."""
    try:
        return f"{_shown(plain_address(host))}/{port}"
    except ValueError:
        return f"IPV4/TCP/0.0.0.0/{port}"


def _shown(address: IPv4Address | IPv6Address) -> str:
    return f"IPV{address.version}/TCP/{address}"


def _line(service: str, event: str, local: str, remote: str) -> str:
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"
    return (
        f'[{stamp}] SECURITY[{os.getpid()}] res_security_log.c: SecurityEvent="{event}",EventTV="{stamp}",'
        f'Severity="Error",Service="{service}",EventVersion="1",AccountID="<unknown>",SessionID="<unknown>",'
        f'LocalAddress="{local}",RemoteAddress="{remote}"\n'
    )
