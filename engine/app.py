"""The composition root: builds every part once, runs them together, and ends them in order.

All parts run in one TaskGroup: when one dies, the whole process does, and whoever supervises it starts it again.
That is better than half an engine. SIGTERM and SIGINT let everything finish what it is doing.
"""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Collection, Sequence
from dataclasses import asdict
from functools import partial
from ipaddress import ip_network

import structlog
from aiohttp import web

from agi_scripts.server import FastAgiServer, scripts
from agi_scripts.session import CallContext
from api.app import build_app
from api.http.dependencies import Dependencies, RequestLimits
from api.http.server import build_runner
from engine.accounts.keys import KeyUse
from engine.asterisk.ami_link import AmiLink
from engine.asterisk.errors import AmiRefused, AmiUnavailable
from engine.asterisk.limit_keeper import LimitKeeper
from engine.asterisk.reconciler import Reconciler
from engine.asterisk.wall_clock import ClockWatch
from engine.bookings.lifecycle import sweep
from engine.callbacks.notifications import notify_all_due
from engine.callbacks.ssrf import check_callback
from engine.callbacks.worker import CallbackWorker
from engine.calls.end_spool import EndSpool
from engine.config import secrets
from engine.config.policy import callback_rules_of, delivery_rules_of, policy_of, retention_of
from engine.config.settings import Settings
from engine.control.operator import Operator
from engine.control.server import ControlServer
from engine.domain.errors import RentedNumbersError
from engine.domain.policy import Policy
from engine.privacy.retention import delete_expired
from engine.runtime import lock
from engine.runtime.clock import SystemClock
from engine.runtime.diagnostics import LoopWatch
from engine.runtime.periodic import wait_for
from engine.runtime.security_log import SecurityLog
from engine.runtime.watchdog import watched
from engine.sandbox.clock import sweep_sandboxes
from engine.storage.errors import StorageError
from engine.storage.migrate import migrate
from engine.storage.reads import Reads
from engine.storage.sqlite import SqliteStorage

log = structlog.get_logger(__name__)

SHUTDOWN_SECONDS = 5.0


class CannotListen(RentedNumbersError):
    """Names the address."""


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises CannotListen when the address is taken or not this machine's."""
    try:
        return socket.create_server((host, port), backlog=1024, family=_family(host))
    except socket.gaierror as error:
        raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror}") from None
    except OSError as error:
        # Not `strerror`: create_server puts the address into it too.
        raise CannotListen(f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}") from None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


async def serve(settings: Settings) -> None:
    """Run the engine until SIGTERM or SIGINT.

    Raises InsecureSecrets, DataDirInUse, CannotListen, StorageUnavailable before anything has started.
    """
    directory = settings.data_dir / "secrets"
    kept, tokens = secrets.load(directory), secrets.agi_tokens(directory)
    with lock.held(settings.data_dir, lock.ENGINE_LOCK):
        await _serve(settings, kept, tokens.values())


async def _serve(settings: Settings, kept: secrets.Secrets, agi_tokens: Collection[str]) -> None:
    migrate(settings.database)
    http = listen(settings.http_host, settings.http_port)
    fastagi = listen(settings.fastagi_host, settings.fastagi_port)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    storage = SqliteStorage(settings.database)
    try:
        async with Reads(settings.database) as reads, watched():
            await Engine(settings, kept, agi_tokens, storage, reads).run(http, fastagi, stop)
    finally:
        await storage.close()


class Engine:
    """One running engine over an open database."""

    def __init__(
        self,
        settings: Settings,
        kept: secrets.Secrets,
        agi_tokens: Collection[str],
        storage: SqliteStorage,
        reads: Reads,
    ) -> None:
        self._settings = settings
        self._agi_tokens = agi_tokens
        self._policy: Policy = policy_of(settings)
        self._retention = retention_of(settings)
        self._clock = SystemClock()
        self._storage = storage
        self._reads = reads
        self._callbacks = CallbackWorker(storage, self._clock, delivery_rules_of(settings))
        loop = asyncio.get_running_loop()
        storage.when_posted(lambda: loop.call_soon_threadsafe(self._callbacks.wake))
        self._ami = AmiLink(
            host=settings.ami_host, port=settings.ami_port, user=settings.ami_user, secret=kept.ami_secret
        )
        self._limits = LimitKeeper(storage, self._ami, self._clock, self._policy)
        self._lateness = LoopWatch()
        operator = Operator(storage, self._ami, self._limits)
        self._control = ControlServer(
            settings.data_dir,
            {
                "adjust": operator.adjust,
                "hang_up": operator.hang_up,
                "end_calls": operator.end_calls,
                "share": operator.share,
                "lateness": self._lateness.report,
                "look": operator.look,
            },
        )
        self._journal = EndSpool(settings.journal, storage, self._clock, self._policy, self._limits.settled)
        self._reconciler = Reconciler(
            storage,
            self._ami,
            self._clock,
            self._policy,
            self._limits,
            self._journal,
            settings.reconcile_interval.total_seconds(),
        )
        self._key_use = KeyUse(storage, self._clock)
        self._security_log = SecurityLog(
            settings.security_log,
            {
                "HTTP": (settings.http_host, settings.http_port),
                "AGI": (settings.fastagi_host, settings.fastagi_port),
            },
        )
        self._dependencies = Dependencies(
            storage=storage,
            reads=reads,
            clock=self._clock,
            policy=self._policy,
            pepper=kept.key_pepper,
            check_callback=partial(check_callback, rules=callback_rules_of(settings)),
            hang_up=self.hang_up,
            renewed=self._limits.changed,
            health=self.health,
            key_used=self._key_use.used,
            refused=self._security_log.refused,
            proxies=tuple(ip_network(each) for each in settings.http_proxies),
            limits=RequestLimits(requests_per_minute=settings.requests_per_minute),
        )
        self._calls = CallContext(
            storage=storage,
            clock=self._clock,
            policy=self._policy,
            limits=self._limits,
            expired_announcement=settings.expired_announcement,
        )

    async def run(self, http: socket.socket, fastagi: socket.socket, stop: asyncio.Event) -> None:
        """Serve on the two listening sockets until `stop`."""
        agi = FastAgiServer(
            scripts(self._calls),
            self._settings.call_deadline.total_seconds(),
            tokens=self._agi_tokens,
            peers=self._settings.agi_peers,
            refused=self._security_log.refused,
        )
        # What stands by now stays: looking through it again and again would hold up calls for some 20 ms each time.
        gc.collect()
        gc.freeze()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(agi.run(fastagi, stop))
            tasks.create_task(self._serve_http(http, stop))
            tasks.create_task(self._ami.run(stop))
            tasks.create_task(self._limits.run(stop))
            tasks.create_task(ClockWatch(self._ami, self._clock, self._limits).run(stop))
            tasks.create_task(self._reconciler.run(stop))
            tasks.create_task(self._control.run(stop))
            tasks.create_task(self._callbacks.run(stop))
            tasks.create_task(self._key_use.run(stop))
            tasks.create_task(self._lateness.run(stop))
            tasks.create_task(self._sweep(stop))
            log.info("engine_up", http=self._settings.http_port, fastagi=self._settings.fastagi_port)
        log.info("engine_down")

    async def health(self) -> dict[str, str]:
        """State of each part: "up", or what is wrong with it."""
        database = "up" if await self._reads.alive() else "down"
        # The link pings Asterisk every few seconds and is down when that goes unanswered.
        asterisk = "up" if self._ami.is_up else "down"
        return {"database": database, "ami": str(self._ami.state), "asterisk": asterisk}

    async def hang_up(self, channels: Sequence[str]) -> None:
        """End live calls. What cannot be reached now is tried again by the sweeper."""
        await asyncio.gather(*(self._hang_up(channel) for channel in channels))

    async def _hang_up(self, channel: str) -> None:
        try:
            await self._ami.hang_up(channel)
        except AmiUnavailable as error:
            log.warning("hang_up_postponed", channel=channel, reason=str(error))
        except AmiRefused as error:
            log.info("hang_up_refused", channel=channel, reason=str(error))

    async def _serve_http(self, listener: socket.socket, stop: asyncio.Event) -> None:
        runner = build_runner(build_app(self._dependencies), shutdown_seconds=SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            await stop.wait()
        finally:
            await runner.cleanup()

    async def _sweep(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._clean_up()
            except StorageError as error:
                log.error("sweep_failed", reason=str(error))
            await wait_for(stop, self._settings.sweep_interval.total_seconds())

    async def _clean_up(self) -> None:
        # First: what has expired is told before it is gone.
        await notify_all_due(self._storage, self._clock.now(), self._policy)
        swept = await self._storage.run(sweep, self._clock.timestamp(), self._policy)
        await sweep_sandboxes(self._storage, self._clock.now(), self._policy)
        if swept.bookings_gone or swept.numbers_freed or swept.calls_lost:
            log.info(
                "swept",
                bookings_gone=swept.bookings_gone,
                numbers_freed=swept.numbers_freed,
                calls_lost=swept.calls_lost,
            )
        await self.hang_up(swept.channels)
        deleted = await delete_expired(self._storage, self._clock.now(), self._retention)
        if deleted.any:
            log.info("expired_records_deleted", **asdict(deleted))
