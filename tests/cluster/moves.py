"""A call in one Asterisk takes seconds from a call in the other."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.running import Cluster
from phones.messages import Message
from phones.sipp import Sipp
from tests.chaos import load
from tests.chaos.plan import SOURCE_PREFIX, PlannedCall
from tests.cluster.api import Booked

# The first call lasts until the second has been answered.
TALKS_MS = (3000, 500)
PATIENCE_SECONDS = 10.0
# Serial numbers of callers that no other part of a run has.
FIRST_SERIAL = 800_000


class Moves:
    """Makes pairs of calls to one booking, the second through the other node.

    Attributes:
        heard: What the callers sent and received.
    """

    def __init__(self, cluster: Cluster, entry: str, directory: Path) -> None:
        self.heard: list[Message] = []
        self._cluster = cluster
        self._entry = entry
        self._directory = directory

    def make(self, number: int, booked: Booked) -> tuple[str, str]:
        """Makes a pair. Returns the callers' numbers, the second of which needs seconds that the first has."""
        first_serial = FIRST_SERIAL + 2 * number
        lines = [_planned(first_serial + each, booked.service, talk) for each, talk in enumerate(TALKS_MS)]
        with self._dialling(lines[0]) as first:
            taker = self._taker(lines[0].source, first)
            with self._drained(taker), self._dialling(lines[1]) as second:
                second.wait(PATIENCE_SECONDS)
                first.wait(PATIENCE_SECONDS)
        assert self._taker(lines[1].source, None) != taker
        return lines[0].source, lines[1].source

    @contextmanager
    def _dialling(self, line: PlannedCall) -> Iterator[Sipp]:
        with load.callers(self._entry, [line], 10, self._directory / line.source) as sipp:
            yield sipp
        self.heard += sipp.messages()

    def _taker(self, source: str, sipp: Sipp | None) -> int:
        """Waits until a call is answered, and returns the node that has it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while sipp is not None and not any(message.method == "ACK" for message in sipp.messages()):
            assert time.monotonic() < deadline, "the first call is not answered"
            time.sleep(0.02)
        with self._cluster.postgresql.primary.connect() as database:
            row = database.execute("SELECT asterisk FROM calls WHERE source = %s", [source]).fetchone()
        assert row is not None
        names = [node.asterisk_name for node in self._cluster.nodes]
        return names.index(row[0])

    @contextmanager
    def _drained(self, node: int) -> Iterator[None]:
        command, sip = "dispatcher.set_state", f"sip:{self._cluster.nodes[node].sip}"
        self._cluster.kamailio.command(command, "dx", "1", sip)
        yield
        self._cluster.kamailio.command(command, "ap", "1", sip)


def _planned(serial: int, service: str, talk: int) -> PlannedCall:
    return PlannedCall(f"{SOURCE_PREFIX}0000{serial:06}", service, "talk", talk, talk)
