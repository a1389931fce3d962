"""The revocation log: whole before a commit, readable after any crash, bounded, and without numbers."""

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.accounts.keys import create_key, revoke_key
from engine.backup.replay import Losses, erase_again
from engine.bookings.swapping import swap_number
from engine.callbacks.secrets import rotate, secret_digest
from engine.domain.caller_digests import person_digest
from engine.domain.numbers import E164
from engine.domain.spellings import Spellings
from engine.domain.times import DAY_MS, EpochMs
from engine.privacy.erasure import erase
from engine.storage import revocations
from engine.storage.errors import StorageUnavailable
from engine.storage.files import beside
from engine.storage.revocations import REVOCATION_LOG, Entry, Kind, RevocationLog, RevocationLogDamaged, Withdrawal
from engine.storage.transaction import Transaction
from tests.contract.erasing import PERSON
from tests.contract.samples import OTHER_HIDDEN, PEPPER, START
from tests.contract.test_erasable_columns import ERASABLE
from tests.contract.test_migrations import ROWS, insert
from tests.contract.world import World, outsider

pytestmark = pytest.mark.sqlite_only


def logged(world: World) -> list[tuple[Kind, str]]:
    return [(each.kind, each.subject) for each in RevocationLog(world.database).read()][1:]


async def test_everything_that_is_withdrawn_for_good_is_in_the_log(world: World) -> None:
    key = await world.storage.run(create_key, "Ann", PEPPER, world.now)
    cancelled, changed, expired = await world.book(), await world.book(), await world.book()
    before = (await world.storage.run(lambda tx: tx.webhook_secrets.of(world.account))).present
    await world.storage.run(revoke_key, key.id, world.now)
    await world.storage.run(rotate, world.account, 0, world.now)
    await world.cancel(cancelled)
    await world.renew(changed, destination=OTHER_HIDDEN)
    await world.renew(changed, destination=OTHER_HIDDEN)  # no change
    await world.storage.run(swap_number, world.account, expired.id, world.now, world.policy)
    world.now = START + 100 * DAY_MS
    await world.sweep()
    await erase(world.storage, Spellings(PERSON), world.now, world.policy, PEPPER)
    found = logged(world)
    assert found[:5] == [
        (Kind.KEY, key.id),
        (Kind.SECRET, secret_digest(before)),
        (Kind.BOOKING, cancelled.id),
        (Kind.DESTINATION, changed.id),
        (Kind.SERVICE, expired.id),
    ]
    assert sorted(found[5:-1]) == sorted((Kind.BOOKING, each.id) for each in (changed, expired))
    assert found[-1] == (Kind.NUMBER, person_digest(PEPPER, PERSON))


async def test_a_command_that_fails_withdraws_nothing(world: World) -> None:
    def withdraw_and_fail(tx: Transaction) -> None:
        tx.withdraw(Kind.KEY, "key_1")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await world.storage.run(withdraw_and_fail)
    assert not beside(world.database, "").with_name(REVOCATION_LOG).exists()


async def test_nothing_is_committed_that_cannot_be_logged(world: World) -> None:
    key = await world.storage.run(create_key, "Ann", PEPPER, world.now)
    os.mkfifo(world.database.with_name(REVOCATION_LOG))
    with pytest.raises(StorageUnavailable, match="not a regular file"):
        await world.storage.run(revoke_key, key.id, world.now)
    assert world.rows("SELECT revoked_at FROM api_keys") == [{"revoked_at": None}]


def test_a_line_that_a_crash_cut_short_is_dropped_and_others_follow(tmp_path: Path) -> None:
    log = RevocationLog(tmp_path / "db")
    log.append([Withdrawal(Kind.KEY, "key_1")])
    with (tmp_path / REVOCATION_LOG).open("a") as file:
        file.write('{"at": 1, "kind": "key", "subj')
    assert [each.subject for each in log.read()] == ["", "key_1"]
    log.append([Withdrawal(Kind.KEY, "key_2")])
    assert [each.subject for each in log.read()] == ["", "key_1", "key_2"]
    assert (tmp_path / REVOCATION_LOG).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("line", ["nonsense", '{"at": 1, "kind": "letter", "subject": ""}', '{"at": 1}'])
def test_a_line_that_cannot_be_read_is_an_error(tmp_path: Path, line: str) -> None:
    log = RevocationLog(tmp_path / "db")
    log.append([])
    with (tmp_path / REVOCATION_LOG).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(RevocationLogDamaged, match="line 2"):
        log.read()


def test_compaction_drops_what_is_old_or_repeated_and_says_since_when_it_is_complete(tmp_path: Path) -> None:
    log = RevocationLog(tmp_path / "db")
    log.append([Withdrawal(Kind.KEY, "key_1"), Withdrawal(Kind.BOOKING, "bkg_1"), Withdrawal(Kind.KEY, "key_1")])
    begin = log.read()[0].at
    log.compact(EpochMs(begin - 1))
    assert [(each.kind, each.subject) for each in log.read()] == [
        (Kind.BEGIN, ""),
        (Kind.BOOKING, "bkg_1"),
        (Kind.KEY, "key_1"),
    ]
    later = EpochMs(begin + DAY_MS)
    log.compact(later)
    assert log.read() == [Entry(later, Kind.BEGIN)]


def test_what_is_logged_during_a_compaction_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, other = (RevocationLog(tmp_path / "db") for _ in range(2))
    log.append([Withdrawal(Kind.KEY, "key_1")] * 2)
    compacted, steps = revocations._compacted, [lambda: other.compact(EpochMs(0)), lambda: None]

    def meanwhile(entries: Sequence[Entry], before: EpochMs) -> list[Entry]:
        other.append([Withdrawal(Kind.BOOKING, f"bkg_{len(steps)}")])
        if steps:
            steps.pop()()
        return compacted(entries, before)

    monkeypatch.setattr(revocations, "_compacted", meanwhile)
    subjects = [["key_1", "bkg_2"], ["key_1", "bkg_2", "bkg_1", "bkg_0"]]
    for expected in subjects:
        log.compact(EpochMs(0))
        assert [each.subject for each in log.read()[1:]] == expected


def test_a_log_that_gets_the_same_entries_again_and_again_stays_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A customer can change a hidden number ten times a second, for months."""
    monkeypatch.setattr(revocations, "COMPACT_BYTES", 1_000)
    log, path = RevocationLog(tmp_path / "db"), tmp_path / REVOCATION_LOG
    for _ in range(3):
        for number in range(40):
            log.append([Withdrawal(Kind.DESTINATION, f"bkg_{number % 3}")])
        for thread in threading.enumerate():
            if thread.name == "revocation log":
                thread.join()
    assert path.stat().st_size < 50 * 80
    assert {each.subject for each in log.read()[1:]} == {"bkg_0", "bkg_1", "bkg_2"}


@pytest.mark.parametrize("place", [(table, column) for table, columns in ERASABLE.items() for column in columns])
async def test_an_erased_number_is_found_by_its_digest_in_every_column_that_can_hold_it(
    world: World, place: tuple[str, str]
) -> None:
    """The columns are those that erasure knows; a new one fails here until the restore knows it too."""
    table, column = place
    text = {
        "metadata": f'{{"who": "{PERSON}"}}',
        "body": f'{{"source": "{PERSON}"}}',
        "callback": f"https://x/{PERSON}",
    }
    value = text.get(column, f"about {PERSON}." if column in {"label", "reason", "response"} else PERSON)
    # The callback of a booking that is not gone is its owner's to change.
    changes: dict[str, dict[str, object]] = {"grants": {"usage_plan": None}, "bookings": {"gone_at": START}}
    changes["accounts"] = {"id": "acc_2", "name": "Eve", "suspended_at": START}
    with outsider(world.database) as connection:
        for parent in ("accounts", "bookings", "outbox"):
            if parent != table:
                insert(connection, parent, **({"name": "Bob"} if parent == "accounts" else {}))
        insert(connection, table, **{**changes.get(table, {}), column: value})
    entries = [Entry(EpochMs(START), Kind.NUMBER, person_digest(PEPPER, PERSON))]
    losses = Losses(entries, (), EpochMs(START), world.at, world.policy)
    # Nothing but its owner ends a Proxy service, so its callback URLs are reported.
    is_owners = table == "proxy_services" and column.endswith("callback_url")
    remaining = ["a callback URL of the Proxy service psv_1, which its owner can change"] if is_owners else []
    assert await erase_again(world.storage, losses, PEPPER) == (1, remaining)
    with outsider(world.database) as connection:
        assert (PERSON[1:] in repr(connection.execute(f"SELECT * FROM {table}").fetchall())) is is_owners  # noqa: S608
        for each in ROWS:
            connection.execute(f"DELETE FROM {each}")  # noqa: S608  rows that no ledger explains


SPELLINGS = [
    *("+32 475 99 88 77", "+32 (0)475/99.88.77", "0032475998877", "0475 99 88 77", "475998877", "+32,475,99,88,77"),
    *("\uff0b\uff13\uff12\uff14\uff17\uff15 99 88 77", "\u0660\u0664\u0667\u0665998877", "12 0475 99 88 77, 3"),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_an_erased_number_is_found_in_every_spelling(world: World, spelling: str) -> None:
    with outsider(world.database) as connection:
        insert(connection, "accounts", name="Bob")
        insert(connection, "bookings", gone_at=START, destination="+3225551234", label=f"Ann {spelling}")
    entries = [Entry(EpochMs(START), Kind.NUMBER, person_digest(PEPPER, "+32475998877"))]
    losses = Losses(entries, (), EpochMs(START), world.at, world.policy)
    assert await erase_again(world.storage, losses, PEPPER) == (1, [])
    assert "998877" not in repr(world.rows("SELECT label FROM bookings")).replace(" ", "").replace(".", "")
    with outsider(world.database) as connection:
        for each in ROWS:
            connection.execute(f"DELETE FROM {each}")  # noqa: S608  rows that no ledger explains


async def test_a_number_that_was_not_erased_stays(world: World) -> None:
    await world.book()
    entries = [Entry(EpochMs(START), Kind.NUMBER, person_digest(PEPPER, E164("+3225559999")))]
    losses = Losses(entries, (), EpochMs(START), world.at, world.policy)
    assert await erase_again(world.storage, losses, PEPPER) == (0, [])
