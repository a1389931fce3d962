"""The digests by which bookings are found: those of bookings that lists can show, and no others."""

import json
from dataclasses import replace
from pathlib import Path

from engine.domain.notes import digests
from engine.storage.migrate import MIGRATIONS, migrate
from engine.storage.upgrade import upgrade
from tests.contract.samples import START
from tests.contract.test_migrations import insert
from tests.contract.world import World, outsider

FACE = "\U0001f600"


def expected(rows: list[dict[str, object]]) -> set[tuple[str, object]]:
    return {
        (digest, row["id"])
        for row in rows
        if row["gone_at"] is None
        for digest in digests(row["account_id"], row["label"], json.loads(str(row["metadata"])))  # type: ignore[arg-type]
    }


async def test_digests_follow_their_bookings_from_the_first_note_to_the_end(world: World) -> None:
    booking = await world.book()
    other = await world.book()
    for label, metadata in (("", {}), ("a", {"k": "1", "l": FACE}), ("b", {"k": "1"}), ("", {"k": "2"}), ("c", {})):
        for each in (booking, other):
            noted = replace(each, label=label, metadata=metadata)
            await world.storage.run(lambda tx, noted: tx.bookings.update(noted), noted)
        rows = world.rows("SELECT digest, booking_id FROM booking_notes")
        assert {(row["digest"], row["booking_id"]) for row in rows} == expected(world.rows("SELECT * FROM bookings"))
        assert len(rows) == 2 * (len(metadata) + bool(label))
    await world.cancel(other)
    assert {row["booking_id"] for row in world.rows("SELECT booking_id FROM booking_notes")} == {booking.id}


def test_bookings_of_earlier_schemas_are_found_by_their_notes(tmp_path: Path) -> None:
    database = tmp_path / "old.sqlite3"
    upgrade(database, MIGRATIONS, "0016")
    notes = [("", "{}", None), ("a", "{}", None), ("a", json.dumps({"k": FACE, "l": "1"}), None), ("a", "{}", START)]
    with outsider(database) as connection:
        insert(connection, "accounts")
        for number, (label, metadata, gone_at) in enumerate(notes):
            insert(
                connection,
                "bookings",
                id=f"bkg_{number}",
                service=f"+322555{number:04}",
                label=label,
                metadata=metadata,
                gone_at=gone_at,
            )
        insert(connection, "outbox", body='{"a": 1}')
        insert(connection, "callback_attempts")
    migrate(database)
    with outsider(database) as connection:
        bookings = connection.execute("SELECT * FROM bookings ORDER BY id").fetchall()
        found = connection.execute("SELECT digest, booking_id FROM booking_notes").fetchall()
        [callback] = connection.execute("SELECT * FROM outbox").fetchall()
        assert connection.execute("SELECT COUNT(*) AS count FROM callback_attempts").fetchone() == {"count": 1}
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert {(row["digest"], row["booking_id"]) for row in found} == expected(bookings)
    assert len(found) == 4
    assert bookings[2]["metadata"] == f'{{"k":"{FACE}","l":"1"}}'
    assert callback["body"] == '{"a": 1}'
    # SQLite reads a row from its beginning.
    assert [*bookings[0]][-1] == "metadata"
    assert [*callback][-1] == "body"
