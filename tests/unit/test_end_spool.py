"""Spooled ends of calls: written completely or not at all, settled once, and independent of one another."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import structlog

from agi_scripts.spool_ended import write_end
from engine.calls.end_spool import MAX_FILES, EndSpool
from engine.calls.lifecycle import EndReport, Settlement, call_ended
from engine.domain.ids import BookingId, CallId
from engine.domain.policy import Policy
from engine.domain.routing import Disposition
from engine.storage.cdrs import Cdr
from engine.storage.errors import StorageUnavailable
from engine.storage.sqlite import SqliteStorage
from tests.contract.samples import BOOKING, CALLER, POLICY, START


class Settling:
    """Stands for a storage that settles every call once. `failing`: it settles none."""

    def __init__(self) -> None:
        self.reports: list[EndReport] = []
        self.failing = False

    async def run(self, command: Callable[..., Any], report: EndReport, now: int, policy: Policy) -> Settlement | None:
        assert command is call_ended
        assert (now, policy) == (START, POLICY)
        if self.failing:
            raise StorageUnavailable("disk full")
        known = report.call_id in {each.call_id for each in self.reports}
        self.reports.append(report)
        return None if known else Settlement(_cdr(report.call_id), others_up=False)


def _cdr(call_id: CallId) -> Cdr:
    return Cdr(
        id="cdr_1",
        account_id=BOOKING.account_id,
        booking_id=BookingId(f"bkg-{call_id}"),
        call_id=call_id,
        started_at=START,
        duration=1,
        source=CALLER,
        service=BOOKING.service,
        destination=BOOKING.destination,
        disposition=Disposition.ANSWERED,
    )


class StandingClock:
    def now(self) -> int:
        return START


@pytest.fixture
def settling() -> Settling:
    return Settling()


@pytest.fixture
def settled_bookings() -> list[str]:
    return []


@pytest.fixture
def spool(tmp_path: Path, settling: Settling, settled_bookings: list[str]) -> EndSpool:
    storage, clock = cast("SqliteStorage", settling), cast("Any", StandingClock())
    return EndSpool(
        tmp_path, storage, clock, POLICY, lambda settlement: settled_bookings.append(settlement.cdr.booking_id)
    )


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


async def test_a_spooled_end_is_settled_with_what_was_reported(
    tmp_path: Path, spool: EndSpool, settling: Settling, settled_bookings: list[str]
) -> None:
    write_end(tmp_path, "rn0-1.1", 12_345, "ANSWER")
    assert await spool.take_in() == 1
    [report] = settling.reports
    assert (report.call_id, report.answered_ms, report.dial_status) == ("rn0-1.1", 12_345, "ANSWER")
    assert report.ended is not None
    assert report.ended.wall_ms > report.ended.boot_ms > 0
    assert (settled_bookings, names(tmp_path)) == (["bkg-rn0-1.1"], set())


async def test_the_file_of_an_end_that_is_already_settled_is_only_deleted(
    tmp_path: Path, spool: EndSpool, settled_bookings: list[str]
) -> None:
    for _ in range(2):
        write_end(tmp_path, "rn0-1.1", 1, "ANSWER")
        await spool.take_in()
    assert (settled_bookings, names(tmp_path)) == (["bkg-rn0-1.1"], set())


async def test_an_end_that_cannot_be_settled_keeps_its_file(
    tmp_path: Path, spool: EndSpool, settling: Settling
) -> None:
    write_end(tmp_path, "rn0-1.1", 1, "ANSWER")
    settling.failing = True
    with pytest.raises(StorageUnavailable):
        await spool.take_in()
    assert names(tmp_path) == {"rn0-1.1.json"}
    settling.failing = False
    assert await spool.take_in() == 1


async def test_a_missing_directory_holds_no_ends(tmp_path: Path, settling: Settling) -> None:
    clock = cast("Any", StandingClock())
    spool = EndSpool(tmp_path / "later", cast("SqliteStorage", settling), clock, POLICY, print)
    assert await spool.take_in() == 0


GOOD = {"callId": "a", "answeredMs": 1, "dialStatus": "ANSWER", "now": 1, "ticks": 1}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"\xff",
        b"{",
        b"[]",
        b"null",
        b"[" * 4000,
        *[json.dumps({key: value for key, value in GOOD.items() if key != missing}).encode() for missing in GOOD],
        json.dumps(GOOD | {"answeredMs": "x"}).encode(),
        json.dumps(GOOD | {"answeredMs": None}).encode(),
        json.dumps(GOOD | {"answeredMs": float("inf")}).encode(),
        json.dumps(GOOD | {"now": float("nan")}).encode(),
        json.dumps(GOOD | {"callId": "\ud800"}).encode(),
        json.dumps(GOOD | {"more": "x" * 5_000}).encode(),
    ],
)
async def test_an_unreadable_file_is_set_aside_and_delays_no_other(
    tmp_path: Path, spool: EndSpool, content: bytes
) -> None:
    (tmp_path / "a.json").write_bytes(content)
    write_end(tmp_path, "b", 1, "ANSWER")
    with structlog.testing.capture_logs() as logged:
        assert await spool.take_in() == 1
    assert names(tmp_path) == {"a.bad"}
    assert [entry["file"] for entry in logged if entry["event"] == "end_spool_file_unreadable"] == ["a.json"]


async def test_a_file_that_cannot_be_opened_stays_and_delays_no_other(tmp_path: Path, spool: EndSpool) -> None:
    (tmp_path / "a.json").mkdir()
    write_end(tmp_path, "b", 1, "ANSWER")
    with structlog.testing.capture_logs() as logged:
        assert await spool.take_in() == 1
    assert names(tmp_path) == {"a.json"}
    assert "end_spool_file_stays" in {entry["event"] for entry in logged}


async def test_a_file_that_another_engine_has_taken_is_ignored(tmp_path: Path, spool: EndSpool) -> None:
    (tmp_path / "a.json").symlink_to(tmp_path / "taken")
    with structlog.testing.capture_logs() as logged:
        assert await spool.take_in() == 0
    assert logged == []


async def test_a_file_that_is_still_being_written_is_left_alone(tmp_path: Path, spool: EndSpool) -> None:
    (tmp_path / ".rn0-1.1.77.partial").write_text("{")
    assert await spool.take_in() == 0
    assert names(tmp_path) == {".rn0-1.1.77.partial"}


async def test_one_pass_takes_a_bounded_number_and_the_next_pass_the_rest(tmp_path: Path, spool: EndSpool) -> None:
    for number in range(MAX_FILES + 1):
        (tmp_path / f"{number}.json").write_text(json.dumps(GOOD | {"callId": str(number)}))
    assert [await spool.take_in() for _ in range(3)] == [MAX_FILES, 1, 0]


def test_a_file_is_synced_before_it_gets_its_name_and_then_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, set[str]]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        what = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append(("directory" if what.is_dir() else what.read_text(), names(tmp_path)))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_end(tmp_path, "rn0-1.1", 5, "ANSWER")
    [(content, before), (directory, after)] = synced
    assert json.loads(content)["answeredMs"] == 5
    assert (before, directory, after) == ({".rn0-1.1.json.partial"}, "directory", {"rn0-1.1.json"})
