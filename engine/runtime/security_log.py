"""Logs refused peers in the format of Asterisk's security log, so that one fail2ban filter reads both logs.

It also has what people do on the web pages, as events of their own that are not refusals. Nothing that a client sent
goes into the log: service and event are the engine's own words, ids are those of existing things, and the address is
that of the connection.
"""

import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import structlog

from engine.domain.masking import masked_text
from engine.runtime.addresses import plain_address
from engine.runtime.file_access import open_regular

log = structlog.get_logger(__name__)

MAX_BYTES = 5 * 1024 * 1024
WARN_SECONDS = 60.0
# About a thousand lines.
NEWEST_BYTES = 256 * 1024
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
_ID = re.compile(r"[A-Za-z0-9._:-]{0,80}")
_FIELD = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_SHOWN_FIELDS = (
    "SecurityEvent",
    "EventTV",
    "Severity",
    "Service",
    "AccountID",
    "SessionID",
    "RemoteAddress",
    "Subject",
)


@dataclass(frozen=True, slots=True)
class NotedEvent:
    """What somebody did on the web pages, or to the access to them.

    Attributes:
        service: One word, such as `Console`.
        event: One word, such as `HiddenNumberShown`.
        role: The role of who did it.
        address: Its IP address.
        session_id: Its session; "" before there is one.
        subject: The id of what it was done to; "" if there is none.
    """

    service: str
    event: str
    role: str
    address: str
    session_id: str = ""
    subject: str = ""


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
        self._write(_line(service, event, self._local.get(service, _local("", 0)), f"{_shown(remote)}/0"))

    def noted(self, event: NotedEvent) -> None:
        """Logs what somebody did. A failed write is reported in the log, not raised.

        Raises:
            ValueError: A field is neither a word nor an id.
        """
        words, ids = (event.service, event.event, event.role), (event.session_id, event.subject)
        if not all(_WORD.fullmatch(each) for each in words) or not all(_ID.fullmatch(each) for each in ids):
            raise ValueError("an event has words and ids only")
        local, remote = self._local.get(event.service, _local("", 0)), f"{_shown(plain_address(event.address))}/0"
        self._write(_noted_line(event, local, remote))

    def newest(self, limit: int) -> list[dict[str, str]]:
        """Returns the newest lines as their fields, newest first. Blocks, so run it in a thread.

        Only the last NEWEST_BYTES are read. Text that a peer wrote is not in this log.

        Raises:
            OSError: The log cannot be read.
        """
        try:
            descriptor = open_regular(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return []
        with os.fdopen(descriptor, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - NEWEST_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
        # The first line may have been cut.
        lines = lines[1:] if size > NEWEST_BYTES else lines
        return [_fields_of(line) for line in reversed(lines[-limit:])]

    def _write(self, line: str) -> None:
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


def _noted_line(event: NotedEvent, local: str, remote: str) -> str:
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"
    return (
        f'[{stamp}] SECURITY[{os.getpid()}] res_security_log.c: SecurityEvent="{event.event}",EventTV="{stamp}",'
        f'Severity="Informational",Service="{event.service}",EventVersion="1",AccountID="{event.role}",'
        f'SessionID="{event.session_id}",LocalAddress="{local}",RemoteAddress="{remote}",Subject="{masked_text(event.subject)}"\n'
    )


def _fields_of(line: str) -> dict[str, str]:
    found = dict(_FIELD.findall(line))
    return {name: found.get(name, "") for name in _SHOWN_FIELDS}
