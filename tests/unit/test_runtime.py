"""Clocks, waits, back-offs, files and addresses, which every part of the engine shares."""

import asyncio
import time
from ipaddress import ip_address
from pathlib import Path

import pytest

from engine.runtime.addresses import plain_address
from engine.runtime.atomic_file import write_atomically
from engine.runtime.backoff import Backoff, with_jitter
from engine.runtime.clock import SystemClock
from engine.runtime.periodic import wait_for, wait_for_any


def test_backoff_doubles_up_to_the_longest_wait_and_resets_after_a_success() -> None:
    backoff = Backoff(0.2, 5.0)
    assert [backoff.next() for _ in range(8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    backoff.reset()
    assert backoff.next() == 0.2


def test_jitter_keeps_a_wait_between_half_and_whole() -> None:
    shortest = Backoff(0.2, 5.0, jitter=lambda least, most: least)
    assert [shortest.next() for _ in range(3)] == [0.1, 0.2, 0.4]
    waits = [with_jitter(1.0, 1.0).next() for _ in range(20)]
    assert len(set(waits)) == 20
    assert all(0.5 <= wait <= 1.0 for wait in waits)


async def test_a_wait_ends_with_its_event_or_its_timeout() -> None:
    event, never = asyncio.Event(), asyncio.Event()
    assert await wait_for(event, 0.01) is False
    event.set()
    assert await wait_for(event, 60) is True
    await wait_for_any((never, event), 60)
    await wait_for_any((never,), 0.01)
    await asyncio.sleep(0)  # the cancelled waits end
    assert len(asyncio.all_tasks()) == 1


def test_an_atomic_write_replaces_the_whole_file_with_its_mode_and_follows_no_link(tmp_path: Path) -> None:
    file, elsewhere = tmp_path / "secret", tmp_path / "elsewhere"
    file.write_text("old")
    elsewhere.write_text("untouched")
    (tmp_path / ".secret.partial").symlink_to(elsewhere)
    write_atomically(file, "new\n", 0o640, sync_directory=True)
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("new\n", 0o640)
    assert elsewhere.read_text() == "untouched"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "secret"]


def test_a_failed_atomic_write_leaves_the_file_unchanged(tmp_path: Path) -> None:
    def refuse(_: int) -> None:
        raise PermissionError

    file = tmp_path / "secret"
    file.write_text("old")
    with pytest.raises(PermissionError):
        write_atomically(file, "new", prepare=refuse)
    assert file.read_text() == "old"


@pytest.mark.parametrize(
    ("shown", "plain"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_a_plain_address_has_no_scope_and_no_ipv4_mapping(shown: str, plain: str) -> None:
    assert plain_address(shown) == ip_address(plain)


def test_a_timestamp_is_the_present_time_of_both_clocks() -> None:
    before = time.time_ns() // 1_000_000, time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    moment = SystemClock().timestamp()
    after = time.time_ns() // 1_000_000, time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    assert before[0] <= moment.wall_ms <= after[0]
    assert before[1] <= moment.boot_ms <= after[1]


def test_the_clocks_are_read_again_if_a_pause_separates_the_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([1_000, 1_400, 1_401, 1_402])
    monkeypatch.setattr(SystemClock, "_boot_ms", staticmethod(lambda: next(ticks)))
    assert SystemClock().timestamp().boot_ms == 1_402


def test_after_the_last_retry_the_readings_are_used_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(0, 1_000_000, 300))
    monkeypatch.setattr(SystemClock, "_boot_ms", staticmethod(lambda: next(ticks)))
    assert SystemClock().timestamp().boot_ms > 0
