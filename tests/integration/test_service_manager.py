"""The engine reports to systemd that it is ready, alive and stopping; no child process does so in its name."""

import asyncio
import os

import pytest

from engine.runtime.service_manager import ServiceManager
from tests.integration.notified import notified


async def test_it_says_that_it_is_ready_alive_and_stopping() -> None:
    with notified(watchdog_seconds=0.1) as manager:
        environment = {**manager.variables, "WATCHDOG_PID": str(os.getpid()), "PATH": "/bin"}
        service, stop = ServiceManager(environment), asyncio.Event()
        assert environment == {"PATH": "/bin"}, "a child would report as if it were the service"
        running = asyncio.create_task(service.run(stop))
        for line in ("READY=1", "WATCHDOG=1", "WATCHDOG=1"):
            await asyncio.to_thread(manager.wait_for, line, 10)
        stop.set()
        await running
        manager.wait_for("STOPPING=1", 10)


@pytest.mark.parametrize("watchdog", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}])
async def test_it_gives_no_sign_of_life_where_none_is_expected(watchdog: dict[str, str]) -> None:
    with notified() as manager:
        service, stop = (
            ServiceManager({"NOTIFY_SOCKET": manager.variables["NOTIFY_SOCKET"], **watchdog}),
            asyncio.Event(),
        )
        running = asyncio.create_task(service.run(stop))
        await asyncio.sleep(0.01)
        stop.set()
        await running
        assert manager.said() == ["READY=1", "STOPPING=1"]


async def test_without_a_manager_or_with_one_that_is_gone_it_runs_as_well() -> None:
    for environment in ({}, {"NOTIFY_SOCKET": "/nowhere/at/all"}):
        stop = asyncio.Event()
        stop.set()
        await ServiceManager(environment).run(stop)
