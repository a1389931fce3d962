"""The composition root: builds every part of the engine from the settings, runs the parts, and ends them in order.

It also builds what depends on settings, so that the rooms below do not import Settings. All parts run in one
TaskGroup: when one fails, the whole process ends, and its supervisor starts it again. Half an engine would be worse.
On SIGTERM and SIGINT the FastAGI server finishes its calls, then every part its current work.
"""

import asyncio
import gc
import socket
from collections.abc import Collection
from functools import partial
from ipaddress import ip_network

import structlog

from agi_scripts.server import FastAgiServer, scripts
from agi_scripts.session import CallContext
from api.app import build_app
from api.http.dependencies import Dependencies, RequestLimits
from api.http.server import serve_app
from api.web.frame.commands import CommandRunner
from api.web.frame.services import WebServices
from engine.accounts.keys import KeyUse
from engine.asterisk.ami_link import AmiLink
from engine.asterisk.beeps import Beeps
from engine.asterisk.browser_phones import browser_phones
from engine.asterisk.config_files import AMI_USER
from engine.asterisk.hang_up import hang_up
from engine.asterisk.keepership import engine_id
from engine.asterisk.limit_keeper import LimitKeeper
from engine.asterisk.node import Node, shared_node
from engine.asterisk.reconciler import Reconciler
from engine.asterisk.silent_trunks import SilentTrunks
from engine.asterisk.trunk_states import TrunkStates
from engine.asterisk.wall_clock import ClockWatch
from engine.callbacks.ssrf import check_callback
from engine.callbacks.worker import CallbackWorker
from engine.calls.end_spool import EndSpool
from engine.calls.report_intake import ReportIntake
from engine.calls.reports import ReportReader
from engine.config import secrets
from engine.config.policy import callback_rules_of, delivery_rules_of, policy_of, retention_of
from engine.config.settings import Settings
from engine.config.sources import active_test_switches
from engine.control.diagnostics import diagnostic_operations, diagnostics_enabled
from engine.control.operator import Operator
from engine.control.operator_warnings import WarningWatch
from engine.control.server import ControlServer
from engine.metrics.collector import Sources
from engine.metrics.database_figures import DatabaseReader
from engine.metrics.exposition import build_metrics_app
from engine.metrics.tallies import Tallies
from engine.runtime import lock
from engine.runtime.data_files import check_data_dir, check_files
from engine.runtime.diagnostics import LoopWatch
from engine.runtime.listening import listen
from engine.runtime.security_log import SecurityLog
from engine.runtime.service_manager import ServiceManager
from engine.runtime.shutdown import Shutdown
from engine.runtime.watchdog import watched
from engine.storage.console_reads import ConsoleReads
from engine.storage.database import clock_of, open_storage, require_usable
from engine.storage.files import database_files
from engine.storage.gauges import GaugeReads
from engine.storage.interface import EngineStorage
from engine.storage.keepers import Keeper
from engine.storage.operator_reads import OperatorReads
from engine.storage.probe import StorageProbe
from engine.storage.revocations import RevocationLog
from engine.sweeper import Sweeper

log = structlog.get_logger(__name__)


async def serve(settings: Settings) -> None:
    """Runs the engine until SIGTERM or SIGINT.

    Raises:
        InsecureSecrets: A secret is missing or not safe.
        DataDirUnusable: A file in the data directory is not safe to use.
        DataDirInUse: Another engine runs on the data directory.
        DatabaseUnusable: The database was replaced by hand or half restored, or has another version's schema.
        CannotListen: An address is taken.
        StorageUnavailable: The database cannot be opened.
    """
    directory = settings.data_dir / "secrets"
    kept, tokens = secrets.load(directory), secrets.agi_tokens(directory)
    check_data_dir(settings.data_dir)
    is_file = settings.database_url is None
    check_files(settings.data_dir, database_files(settings.database) if is_file else (), settings.journal)
    with lock.held(settings.data_dir, lock.ENGINE_LOCK):
        # Not upgraded here: a supervisor that starts engines again and again would do it without a backup.
        require_usable(settings.books, alone=True)
        if is_file:
            RevocationLog(settings.database).begin()
        await _serve(settings, kept, tokens)


async def _serve(settings: Settings, kept: secrets.Secrets, agi_tokens: Collection[str]) -> None:
    for variable in active_test_switches():
        log.warning("test_switch_set", variable=variable)
    http = listen(settings.http_host, settings.http_port)
    fastagi = listen(settings.fastagi_host, settings.fastagi_port)
    metrics = listen(*settings.metrics_listener) if settings.metrics_listener else None
    shutdown = Shutdown()
    shutdown.on_signals()
    storage = open_storage(settings.books)
    try:
        async with OperatorReads(settings.books, settings.tuning.read_statement) as reads, watched():
            await Engine(settings, kept, agi_tokens, storage, reads, shutdown).run(http, fastagi, metrics)
    finally:
        await storage.close()


class Engine:
    """One running engine over an open database.

    Args:
        settings: The operator's choices.
        kept: The installation's secrets.
        agi_tokens: Tokens of the Asterisks that may send FastAGI requests.
        storage: Runs commands; the caller closes it.
        reads: Runs queries; the caller closes it.
        shutdown: Says when to drain and when to stop.
    """

    def __init__(
        self,
        settings: Settings,
        kept: secrets.Secrets,
        agi_tokens: Collection[str],
        storage: EngineStorage,
        reads: OperatorReads,
        shutdown: Shutdown,
    ) -> None:
        self._settings = settings
        self._agi_tokens = agi_tokens
        self._storage = storage
        self._reads = reads
        self._shutdown = shutdown
        self._clock = clock_of(settings.books)
        self._policy = policy_of(settings, kept.key_pepper)
        trunks = settings.trunks_in_use
        self._tallies = Tallies(each.name for each in trunks)
        storage.when_ended(self._tallies.calls.count)
        self._callbacks = self._build_callback_worker()
        self._ami = AmiLink(
            host=settings.ami_host,
            port=settings.ami_port,
            user=AMI_USER,
            secret=kept.ami_secret,
            reported=self._take_report,
        )
        self._names = {} if settings.database_url is None else secrets.asterisk_names(agi_tokens)
        self._node = self._build_node(kept)
        self._beeps = Beeps(storage, self._ami, self._clock, self._node.keepership, settings.tuning.beep_before)
        self._limits = LimitKeeper(
            storage,
            self._ami,
            self._clock,
            self._policy,
            self._node.keepership,
            self._node.elsewhere,
            self._beeps.moved,
        )
        self._silent_trunks = SilentTrunks(
            self._ami,
            {each.name for each in trunks if each.connects_slowly},
            silent_seconds=settings.tuning.trunk_silent,
        )
        self._trunks = TrunkStates(self._ami, self._clock, {each.name: each.qualify for each in trunks})
        self._reports = ReportIntake(
            ReportReader(agi_tokens),
            storage,
            self._clock,
            self._policy,
            self._limits,
            self._trunks.note_end,
            self._silent_trunks.leave,
        )
        self._spool = EndSpool(settings.journal, self._reports)
        self._reconciler = self._build_reconciler()
        self._watch = LoopWatch() if diagnostics_enabled() else None
        self._operator = Operator(storage, self._ami, self._limits, self._trunks, self._node.elsewhere)
        self._control = self._build_control_server()
        self._probe = StorageProbe(settings.books, storage, reads)
        self._key_use = KeyUse(storage, self._clock)
        self._security_log = SecurityLog(settings.security_log, settings.security_listeners)
        self._api = build_app(self._build_api_dependencies(kept), self._build_web_services())
        self._fastagi = self._build_fastagi_server()

    def _build_node(self, kept: secrets.Secrets) -> Node:
        """Returns what this engine shares with others: nothing on a SQLite file."""
        if not self._names:
            return Node()
        keeper = Keeper(self._names[kept.agi_token], engine_id(self._settings.data_dir))
        return shared_node(self._storage, self._clock, keeper, self._ami)

    def _build_callback_worker(self) -> CallbackWorker:
        worker = CallbackWorker(self._storage, self._clock, delivery_rules_of(self._settings))
        loop = asyncio.get_running_loop()
        self._storage.when_posted(lambda accounts: loop.call_soon_threadsafe(worker.wake, accounts))
        return worker

    def _build_reconciler(self) -> Reconciler:
        return Reconciler(
            self._storage,
            self._ami,
            self._clock,
            self._policy,
            self._limits,
            self._spool,
            self._settings.tuning.reconcile_interval,
            self._node.keepership,
        )

    def _build_control_server(self) -> ControlServer:
        operations = self._operator.operations()
        if self._watch is not None:
            operations += diagnostic_operations(self._watch)
        return ControlServer(self._settings.data_dir, operations)

    def _build_api_dependencies(self, kept: secrets.Secrets) -> Dependencies:
        settings = self._settings
        return Dependencies(
            storage=self._storage,
            reads=self._reads,
            clock=self._clock,
            policy=self._policy,
            pepper=kept.key_pepper,
            check_callback=partial(check_callback, rules=callback_rules_of(settings)),
            hang_up=partial(self._node.hang_up, self._ami),
            renewed=self._limits.changed,
            health=self.health,
            last_commit=lambda: self._storage.last_commit,
            trunks=self._trunks.states,
            dead_trunks=lambda: self._trunks.dead,
            key_used=self._key_use.used,
            refused=self._security_log.refused,
            proxies=tuple(ip_network(each) for each in settings.http_proxies),
            limits=RequestLimits(requests_per_minute=settings.requests_per_minute),
            requests=self._tallies.requests,
            phones=browser_phones(settings, kept),
        )

    def _build_web_services(self) -> WebServices:
        return WebServices(
            reads=ConsoleReads(self._settings.books, self._settings.tuning.read_statement),
            operator=self._operator,
            security_log=self._security_log,
            commands=CommandRunner(),
            tallies=self._tallies,
            url=self._settings.http_url,
        )

    def _build_fastagi_server(self) -> FastAgiServer:
        context = CallContext(
            storage=self._storage,
            clock=self._clock,
            policy=self._policy,
            trunks=self._trunks,
            limits=self._limits,
            silent_trunks=self._silent_trunks,
            tallies=self._tallies.routes,
        )
        return FastAgiServer(
            scripts(context),
            self._settings.call_deadline_seconds,
            tokens=self._agi_tokens,
            asterisks=self._names,
            peers=self._settings.agi_peers,
            refused=self._security_log.refused,
            may_decide=lambda: self._node.keepership.may_decide,
        )

    async def run(self, http: socket.socket, fastagi: socket.socket, metrics: socket.socket | None) -> None:
        """Serves on the listening sockets until the shutdown. `metrics` is None if there are none to serve."""
        stop = self._shutdown.stop
        # The objects that exist by now stay until the end. Without this the garbage collector would go through them
        # again and again, which delays calls by some 20 ms each time.
        gc.collect()
        gc.freeze()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._serve_calls(fastagi))
            tasks.create_task(serve_app(self._api, http, stop))
            if metrics is not None:
                tasks.create_task(self._serve_metrics(metrics, stop))
            tasks.create_task(self._ami.run(stop))
            tasks.create_task(self._reports.run(stop))
            tasks.create_task(self._limits.run(stop))
            tasks.create_task(self._node.run(self._storage, self._clock, self._ami, self._limits, stop))
            tasks.create_task(self._beeps.run(stop))
            tasks.create_task(self._trunks.run(stop))
            tasks.create_task(self._silent_trunks.run(stop))
            tasks.create_task(ClockWatch(self._ami, self._clock, self._limits).run(stop))
            tasks.create_task(self._reconciler.run(stop))
            tasks.create_task(self._control.run(stop))
            tasks.create_task(self._callbacks.run(stop))
            tasks.create_task(self._probe.run(stop))
            tasks.create_task(self._key_use.run(stop))
            tasks.create_task(self._build_sweeper().run(stop))
            tasks.create_task(WarningWatch(self._reads, self._clock, self._policy.quarantine_ms).run(stop))
            if self._watch is not None:
                tasks.create_task(self._watch.run(stop))
            tasks.create_task(ServiceManager().run(stop))
            log.info("engine_up", http=self._settings.http_port, fastagi=self._settings.fastagi_port)
        await self._node.keepership.leave()
        log.info("engine_down")

    async def _serve_calls(self, listener: socket.socket) -> None:
        await self._fastagi.run(listener, self._shutdown.drain)
        self._shutdown.stop.set()

    def _take_report(self, line: str) -> None:
        # The link is built before the intake, which needs the limits, which need the link.
        if self._node.keepership.is_ours:
            self._reports.take(line)

    def health(self) -> dict[str, str]:
        """Returns the state of each part: "up", or what is wrong with it."""
        # The link pings Asterisk every few seconds and is down when there is no answer.
        asterisk = "up" if self._ami.is_up else "down"
        if self._node.keepership.is_stranger:
            asterisk = "has another one's token"
        elif not self._node.keepership.may_decide:
            asterisk = "not compared with its keeper's yet"
        engine = "draining" if self._shutdown.drain.is_set() else "up"
        return {"engine": engine, "database": self._probe.state, "ami": str(self._ami.state), "asterisk": asterisk}

    async def _serve_metrics(self, listener: socket.socket, stop: asyncio.Event) -> None:
        sources = Sources(
            self._storage,
            self._probe,
            self._tallies,
            self._callbacks.tallies,
            self._ami,
            self._reports,
            self._trunks,
            self._reconciler,
        )
        async with GaugeReads(self._settings.books) as reads, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tallies.lag.run(stop))
            app = build_metrics_app(sources, DatabaseReader(reads, self._clock))
            tasks.create_task(serve_app(app, listener, stop))

    def _build_sweeper(self) -> Sweeper:
        return Sweeper(
            self._storage,
            self._clock,
            self._policy,
            retention_of(self._settings),
            self._spool,
            self._reconciler,
            partial(hang_up, self._ami),
            self._limits.changed,
            self._settings.tuning.sweep_interval,
            self._node.keepership,
            self._tallies,
        )
