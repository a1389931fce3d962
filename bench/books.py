"""Looks from outside whether a server has settled all calls that were played.

Events have no answer, so the network does not show it. Each server has something on its disk that does, and
reading it costs the server nothing.
"""

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psycopg

from engine.config.postgres_address import PostgresAddress

# The length of a record in the journal of bench/native/limit.c.
RECORD_BYTES = 200
# Calls that a failure shows.
SHOWN = 5


class Books(Protocol):
    def has_done(self, steps: int, *, ended: bool) -> bool:
        """Whether everything that was played is durable.

        Args:
            steps: Requests and reports since the server's start.
            ended: Whether all calls have ended. Otherwise they go on to talk.
        """

    def pending(self) -> str:
        """What is not settled, for the message of a failure."""


class Answered:
    """Of a server that answers each step once it is durable."""

    def has_done(self, steps: int, *, ended: bool) -> bool:
        return True

    def pending(self) -> str:
        return "nothing is pending"


class Database:
    """The engine's database. The connection stays open, so that looking is cheap; each round may use another thread."""

    UP = "SELECT EXISTS (SELECT 1 FROM calls WHERE ended_at IS NULL)"
    RINGS = "SELECT EXISTS (SELECT 1 FROM calls WHERE ended_at IS NULL AND state = 'RINGING')"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None

    def has_done(self, steps: int, *, ended: bool) -> bool:
        [(waits,)] = self._connection().execute(self.UP if ended else self.RINGS).fetchall()
        return not waits

    def pending(self) -> str:
        up = self._connection().execute("SELECT call_id, state FROM calls WHERE ended_at IS NULL").fetchall()
        return f"{len(up)} calls are up, among them {up[:SHOWN]}"

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, check_same_thread=False)
        return self._db


class PostgresBooks:
    """The engine's database on a PostgreSQL server. A look costs the server something, so looks are rare."""

    PAUSE_SECONDS = 0.02

    def __init__(self, address: PostgresAddress) -> None:
        self._db: psycopg.Connection[Any] = psycopg.connect(address, autocommit=True)

    def has_done(self, steps: int, *, ended: bool) -> bool:
        time.sleep(self.PAUSE_SECONDS)
        [(waits,)] = self._db.execute(Database.UP if ended else Database.RINGS).fetchall()
        return not waits

    def pending(self) -> str:
        up = self._db.execute("SELECT call_id, state FROM calls WHERE ended_at IS NULL").fetchall()
        return f"{len(up)} calls are up, among them {up[:SHOWN]}"


@dataclass(frozen=True)
class Journal:
    """The limit's journal, which has a record for each step."""

    path: Path

    def has_done(self, steps: int, *, ended: bool) -> bool:
        return self.path.stat().st_size >= steps * RECORD_BYTES

    def pending(self) -> str:
        return f"the journal has {self.path.stat().st_size // RECORD_BYTES} records"
