"""Tells systemd that the service is ready, alive or stopping (sd_notify, https://systemd.io/NOTIFY_SOCKET)."""

import asyncio
import contextlib
import os
import socket
from collections.abc import MutableMapping

from engine.runtime.periodic import wait_for


class ServiceManager:
    """The service manager that started this process. Without one, nothing is sent.

    Args:
        environment: The process's environment. The manager's variables are taken out of it, because children would
            otherwise report as if they were the service.
    """

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        address = environment.pop("NOTIFY_SOCKET", "")
        microseconds, process = environment.pop("WATCHDOG_USEC", "0"), environment.pop("WATCHDOG_PID", "")
        # A leading @ stands for the zero byte of an address without a file.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        is_watched = self._address and microseconds.isdecimal() and process in {"", str(os.getpid())}
        # Half of the time, as systemd recommends; None: the manager expects no sign of life.
        self._beat_seconds = (int(microseconds) / 2_000_000 or None) if is_watched else None

    async def run(self, stop: asyncio.Event) -> None:
        """Reports that the service is ready, then sends signs of life while the event loop runs, until `stop`."""
        self._tell("READY=1")
        if self._beat_seconds is None:
            await stop.wait()
        else:
            while not await wait_for(stop, self._beat_seconds):
                self._tell("WATCHDOG=1")
        self._tell("STOPPING=1")

    def _tell(self, line: str) -> None:
        if not self._address:
            return
        # A manager that does not read must not hold up calls: what it cannot take at once is lost.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.setblocking(False)
            connection.sendto(line.encode(), self._address)
