"""Logs refused peers in the format of Asterisk's security log, so that one fail2ban filter reads both logs.

Nothing that a client sent goes into the log: service and event are the engine's own words, and the address is that of
the connection.
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
from engine.runtime.file_access import open_regular

log = structlog.get_logger(__name__)

MAX_BYTES = 5 * 1024 * 1024
WARN_SECONDS = 60.0
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")


class SecurityLog:
    """Writes the log, and renames it to `.1` when it is full, so that it never takes more than twice `max_bytes`.

    If somebody moves the file away, the next line begins a new one.

    Args:
        path: The file.
        listeners: Address and port of each service that refuses peers.
        max_bytes: Size at which the file is full.
    """

    def __init__(self, path: Path, listeners: Mapping[str, tuple[str, int]], *, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._local = {service: _local(*listener) for service, listener in listeners.items()}
        self._max_bytes = max_bytes
        self._warned_at = -WARN_SECONDS
        with suppress(OSError):
            self._append(b"")  # fail2ban does not start if the file is missing

    def refused(self, service: str, event: str, address: str) -> None:
        """Logs that a service refused a peer. A failed write is reported in the log, not raised.

        Args:
            service: One word, such as `HTTP`.
            event: Asterisk's word: `InvalidPassword`, `InvalidAccountID`, `ChallengeResponseFailed` or `FailedACL`.
            address: The peer's IP address, without port.

        Raises:
            ValueError: `service` or `event` is not a single word.
        """
        if not _WORD.fullmatch(service) or not _WORD.fullmatch(event):
            raise ValueError("a service and an event are single words")
        try:
            remote = plain_address(address)
        except ValueError:
            self._warn("the peer's address is not an IP address")
            return
        if remote.is_unspecified:  # the connection is closed, and its peer unknown
            return
        line = _line(service, event, self._local.get(service, _local("", 0)), f"{_shown(remote)}/0")
        try:
            self._append(line.encode())
        except OSError as error:
            self._warn(type(error).__name__)

    def _append(self, line: bytes) -> None:
        # Opens the file for each line, because it may have been moved. Lines are few, as refusals are rate-limited.
        with suppress(FileNotFoundError):
            if self._path.stat().st_size + len(line) > self._max_bytes:
                self._path.replace(self._path.with_name(self._path.name + ".1"))
        descriptor = open_regular(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def _warn(self, why: str) -> None:
        if time.monotonic() - self._warned_at >= WARN_SECONDS:
            self._warned_at = time.monotonic()
            log.warning("security_log_failed", error=why)


def _local(host: str, port: int) -> str:
    """Returns the local address as Asterisk writes it; 0.0.0.0 if the service is unknown or listens on a host name."""
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
