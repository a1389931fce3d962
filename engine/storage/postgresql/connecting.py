"""Opens a connection to the one of several servers that takes writes, although others may answer nothing.

libpq tries one host after the other, and waits for a silent one for whole seconds. A command has 2.5 s. So a machine
that hangs or has lost its power, and stands first in the address, would use up the time of every command, even long
after another server was promoted. Here the next host is tried soon, while the silent one may still answer.
"""

import math
import select
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import ConnStatus, PGconn, PollingStatus

# For all hosts together.
CONNECT_SECONDS = 3
# If a host has not answered after this time, the next one is tried as well.
NEXT_HOST_SECONDS = 0.2
# While a host is silent, the hosts that have refused are asked again: one of them may be promoted meanwhile.
ASK_AGAIN_SECONDS = 0.25


class Preference:
    """Which host a worker or reader tries first: the one that it used last, unless that one stopped answering."""

    def __init__(self) -> None:
        self._host = ""
        self._is_silent = False

    def took(self, host: str) -> None:
        """Notes which host the latest connection leads to."""
        self._host, self._is_silent = host, False

    def was_silent(self) -> None:
        """Notes that this host stopped answering. It may be a former primary, and still take connections."""
        self._is_silent = True

    def place(self, host: str) -> int:
        """Returns the place of a host: the lower, the earlier it is tried."""
        return 0 if host != self._host else 1 if self._is_silent else -1


def session_options(statement_seconds: float | None, idle_seconds: float, *, read_only: bool) -> dict[str, str]:
    """Returns the parameters of a session.

    Args:
        statement_seconds: How long the server runs one statement; None: as long as it takes.
        idle_seconds: How long the server waits for the next statement of a transaction.
        read_only: Whether writes are refused.
    """
    options = {"idle_in_transaction_session_timeout": f"{int(idle_seconds * 1000)}ms"}
    if statement_seconds is not None:
        options["statement_timeout"] = f"{int(statement_seconds * 1000)}ms"
    # A machine that is gone must not hold its locks for hours.
    options |= {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
    # The statements of a call read a few rows by index. A plain scan marks dead entries; a bitmap scan reads them
    # again each time. To compile a plan (JIT) takes milliseconds, most statements take less than one.
    options |= {"enable_bitmapscan": "off", "jit": "off"}
    # This holds also for transactions without BEGIN. An operator may have set another level for the database.
    options["default_transaction_isolation"] = "read committed"
    if read_only:
        options["default_transaction_read_only"] = "on"
    else:
        # By default PostgreSQL compares the estimated costs of a kept plan and of a new one, and underestimates what it
        # takes to plan: it planned statements of a call each time. Readers keep the default: their filters vary.
        options["plan_cache_mode"] = "force_generic_plan"
    return options


def open_connection(
    conninfo: str, preference: Preference | None = None, *, seconds: float = CONNECT_SECONDS
) -> psycopg.Connection[tuple[Any, ...]]:
    """Returns a connection to a host that suits `target_session_attrs`, in which every statement is a transaction.

    Args:
        conninfo: Parameters of libpq; `host`, `hostaddr` and `port` may be lists.
        preference: Which host to try first; by default the first one of the list.
        seconds: How long all of it may take.

    Raises:
        psycopg.OperationalError: No host suits, or none that suits has answered in time.
    """
    known = preference or Preference()
    hosts = sorted(_hosts(conninfo), key=lambda host: known.place(host.name))
    found: _Attempt | None = None
    try:
        found = _first(hosts, time.monotonic() + seconds)
    finally:
        for host in hosts:
            if host.attempt is not None and host.attempt is not found:
                host.attempt.pgconn.finish()
    known.took(next(host.name for host in hosts if host.attempt is found))
    found.pgconn.nonblocking = 1
    connection = psycopg.Connection(found.pgconn)
    connection.autocommit = True
    return connection


class _Attempt:
    """An attempt to connect to a host."""

    def __init__(self, conninfo: str) -> None:
        self.pgconn = PGconn.connect_start(conninfo.encode())
        self.awaits = select.POLLOUT

    @property
    def has_failed(self) -> bool:
        return self.pgconn.status == ConnStatus.BAD

    def go_on(self) -> bool:
        """Goes on with what has arrived. Returns whether the connection is made."""
        status = self.pgconn.connect_poll()
        self.awaits = select.POLLIN if status == PollingStatus.READING else select.POLLOUT
        return status == PollingStatus.OK


@dataclass
class _Host:
    """A host.

    Attributes:
        name: Its address and port.
        due: When it is tried next (time.monotonic).
        attempt: What is not over yet, if anything.
        refusal: Why the latest attempt failed; "" if none has.
    """

    name: str
    conninfo: str
    due: float = 0.0
    attempt: _Attempt | None = None
    refusal: str = ""

    def start(self) -> None:
        self.attempt = _Attempt(self.conninfo)
        self._note_failure(self.attempt)

    def go_on(self) -> _Attempt | None:
        """Goes on with what has arrived. Returns the attempt if the connection is made."""
        attempt = self.attempt
        if attempt is None or attempt.go_on():
            return attempt
        self._note_failure(attempt)
        return None

    def _note_failure(self, attempt: _Attempt) -> None:
        if attempt.has_failed:
            self.refusal = " ".join(attempt.pgconn.get_error_message().split())
            self.due = time.monotonic() + ASK_AGAIN_SECONDS
            attempt.pgconn.finish()
            self.attempt = None


def _hosts(conninfo: str) -> list[_Host]:
    given = conninfo_to_dict(conninfo)
    lists = {name: str(given[name]).split(",") for name in ("host", "hostaddr", "port") if given.get(name)}
    count = max((len(each) for each in lists.values()), default=1)
    if any(len(each) not in (1, count) for each in lists.values()):
        return [_Host("", conninfo)]  # libpq says what is wrong
    found = []
    for number in range(count):
        # One port may stand for all hosts.
        own = {name: each[number if len(each) > 1 else 0] for name, each in lists.items()}
        name = ":".join(filter(None, (own.get("host") or own.get("hostaddr"), own.get("port"))))
        found.append(_Host(name, make_conninfo("", **{**given, **own})))
    return found


def _first(hosts: Sequence[_Host], deadline: float) -> _Attempt:
    """Tries the hosts until a connection is made."""
    now = time.monotonic()
    for place, host in enumerate(hosts):
        host.due = now + place * NEXT_HOST_SECONDS
    while now < deadline:
        if all(host.attempt is None for host in hosts):
            untried = [host for host in hosts if not host.refusal]
            if not untried:
                break
            untried[0].due = now  # all that were asked have refused
        for host in hosts:
            if host.attempt is None and host.due <= now:
                host.start()
        for host in _ready(hosts, deadline):
            if made := host.go_on():
                return made
        now = time.monotonic()
    raise psycopg.OperationalError("; ".join(host.refusal or f"{host.name} does not answer" for host in hosts))


def _ready(hosts: Sequence[_Host], deadline: float) -> list[_Host]:
    """Waits until an attempt can go on, or a host is due."""
    poll, waiting = select.poll(), {}
    for host in hosts:
        if host.attempt is not None:
            waiting[host.attempt.pgconn.socket] = host
            poll.register(host.attempt.pgconn.socket, host.attempt.awaits)
    if not waiting:
        return []
    until = min([deadline, *(host.due for host in hosts if host.attempt is None)])
    happened = poll.poll(max(0, math.ceil((until - time.monotonic()) * 1000)))
    return [waiting[socket] for socket, _ in happened]
