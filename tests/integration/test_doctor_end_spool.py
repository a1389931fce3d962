"""`doctor` and the end spool: whether Asterisk can write it, and whether the engine reads it."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest

from engine.calls.end_spool import CURRENT, FORMER
from engine.config.settings import Settings
from engine.local.doctor import Finding, Verdict, examine
from engine.local.end_spool_check import TOO_LONG, end_spool
from engine.runtime import lock
from tests.contract.test_migrations import insert
from tests.integration.fake_reports import ended, spool
from tests.integration.test_doctor import settings

__all__ = ["settings"]  # a fixture

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


@pytest.fixture
def journal(settings: Settings) -> Path:
    settings.journal.mkdir(mode=0o700)
    return settings.journal


def found(settings: Settings, *, runs: bool = False) -> Finding:
    with lock.held(settings.data_dir, lock.ENGINE_LOCK) if runs else nullcontext():
        [finding] = end_spool(settings)
    return finding


def a_call(settings: Settings, call_id: str, **changes: Any) -> None:
    with closing(sqlite3.connect(settings.database)) as database, database:
        insert(database, "calls", call_id=call_id, **changes)


def _as_directory(path: Path) -> None:
    path.mkdir()


def _as_link(path: Path) -> None:
    path.symlink_to(path.parent / "elsewhere")


WRONG_KINDS: dict[str, Callable[[Path], object]] = {
    "a link": _as_link,
    "a pipe": os.mkfifo,
    "a directory": _as_directory,
}


@pytest.mark.parametrize("kind", WRONG_KINDS)
def test_the_spool_must_be_a_regular_file(settings: Settings, journal: Path, kind: str) -> None:
    WRONG_KINDS[kind](journal / CURRENT)
    finding = found(settings)
    assert (finding.verdict, f"is {kind}" in finding.what) == (Verdict.FAILED, True)
    assert f"rm {journal / CURRENT}" in finding.fix
    assert finding in examine(settings)


@pytest.mark.parametrize("exists", [True, False])
def test_before_the_first_call_there_is_no_file_yet(settings: Settings, *, exists: bool) -> None:
    if exists:
        settings.journal.mkdir()
    assert found(settings).verdict is Verdict.OK


def test_an_existing_asterisk_needs_the_directory(settings: Settings) -> None:
    attached = settings.model_copy(update={"manage_asterisk": False})
    finding = found(attached)
    assert (finding.verdict, f"mkdir -m 2770 {settings.journal}" in finding.fix) == (Verdict.FAILED, True)


@AS_ROOT
@pytest.mark.parametrize(
    ("directory", "file", "managed", "verdict"),
    [
        ((12345, 12345, 0o700), None, True, Verdict.OK),
        ((12346, 12345, 0o770), None, True, Verdict.OK),
        ((12346, 12345, 0o750), None, True, Verdict.FAILED),
        ((12346, 12346, 0o700), None, True, Verdict.FAILED),
        ((12345, 12345, 0o500), None, True, Verdict.FAILED),
        ((12345, 12345, 0o700), (12346, 12346, 0o600), True, Verdict.FAILED),
        ((12345, 12345, 0o700), (12346, 12345, 0o660), True, Verdict.OK),
        # An Asterisk of another user, known by the file that it wrote.
        ((12345, 12346, 0o2770), (12346, 12346, 0o640), False, Verdict.OK),
        ((12345, 12345, 0o700), (12346, 12346, 0o640), False, Verdict.FAILED),
        ((12345, 12346, 0o2750), (12346, 12346, 0o640), False, Verdict.FAILED),
    ],
)
def test_asterisks_user_must_be_able_to_write(
    settings: Settings,
    tmp_path: Path,
    directory: tuple[int, int, int],
    file: tuple[int, int, int] | None,
    managed: bool,
    verdict: Verdict,
) -> None:
    for path in (tmp_path, *tmp_path.parents):
        if not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o011)
    journal = tmp_path / "journal"
    changed = settings.model_copy(update={"journal_dir": journal, "manage_asterisk": managed})
    os.chown(settings.data_dir, 12345, 12345)
    journal.mkdir()
    if file:
        (journal / CURRENT).touch()
        os.chown(journal / CURRENT, *file[:2])
        (journal / CURRENT).chmod(file[2])
    os.chown(journal, *directory[:2])
    journal.chmod(directory[2])
    finding = found(changed)
    assert finding.verdict is verdict, finding
    assert bool(finding.fix) == (verdict is not Verdict.OK)


@pytest.mark.parametrize(("runs", "verdict"), [(True, Verdict.WARNING), (False, Verdict.OK)])
@pytest.mark.parametrize("name", [CURRENT, FORMER])
def test_ends_that_wait_are_those_of_calls_that_are_still_up(
    settings: Settings, journal: Path, name: str, *, runs: bool, verdict: Verdict
) -> None:
    a_call(settings, "c1")
    a_call(settings, "c2")
    a_call(settings, "c3", state="VOIDED", ended_at=1, seconds_charged=0)
    spool(journal, *(ended(call_id, "") for call_id in ("c1", "c3", "c1", "unknown")))
    (journal / CURRENT).rename(journal / name)
    with (journal / name).open("ab") as file:
        file.write(b"\xff\n\nended\nended \nanswered c2 x\nended c")
    finding = found(settings, runs=runs)
    assert (finding.verdict, finding.what.split(";")[0]) == (verdict, "1 ends of calls wait in the end spool")


def test_a_file_that_nobody_reads_is_reported(settings: Settings, journal: Path) -> None:
    spool(journal, "ended c1 x")
    os.truncate(journal / CURRENT, TOO_LONG + 1)
    assert found(settings, runs=True).verdict is Verdict.WARNING
    assert found(settings).verdict is Verdict.OK


def test_the_check_changes_nothing(settings: Settings, journal: Path) -> None:
    a_call(settings, "c1")
    spool(journal, ended("c1", ""))
    before = [(path, path.stat().st_mtime_ns, path.read_bytes()) for path in sorted(journal.iterdir())]
    assert found(settings, runs=True).verdict is Verdict.WARNING
    assert [(path, path.stat().st_mtime_ns, path.read_bytes()) for path in sorted(journal.iterdir())] == before


@pytest.mark.parametrize(("is_there", "verdict"), [(True, Verdict.OK), (False, Verdict.WARNING)])
def test_the_end_of_the_latest_call_must_stand_in_the_spool(
    settings: Settings, journal: Path, *, is_there: bool, verdict: Verdict
) -> None:
    """Its event has settled it; if Asterisk cannot write, only this shows it."""
    with closing(sqlite3.connect(settings.database)) as database, database:
        insert(database, "cdrs", id="cdr_1", call_id="c1", disposition="ANSWERED", duration=2)
    spool(journal, ended("c1" if is_there else "c2", ""))
    assert found(settings).verdict is verdict
