"""The list of call records compared with a Python list: no record is skipped or repeated while records come and go
between its pages. A longer run: `PAGING_EXAMPLES=5000 pytest -s tests/contract/test_call_records.py`."""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from engine.cdr.listing import record_batches, record_page
from engine.domain.dispositions import Disposition
from engine.domain.ids import CallId
from engine.storage.cdrs import CallRecord, Cdr, CdrPosition, WantedRecords
from engine.storage.filters import EARLIEST, LATEST
from engine.storage.reads import Reads

pytestmark = pytest.mark.sqlite_only

EXAMPLES = int(os.environ.get("PAGING_EXAMPLES", "60"))
OURS, THEIRS = "acc_ours", "acc_theirs"
# Few instants, so that many calls share one; ids in random order.
INSTANTS = st.integers(0, 6)
WORDS = st.sampled_from(["a", "b"])
DISPOSITIONS = st.sampled_from([Disposition.ANSWERED, Disposition.BUSY])
RECORDS = st.builds(
    Cdr,
    id=st.integers(0, 2**32).map("cdr_{:032x}".format),
    account_id=st.sampled_from([OURS, OURS, THEIRS]),
    booking_id=WORDS,
    call_id=st.just(""),
    started_at=INSTANTS,
    duration=st.just(0),
    source=WORDS,
    service=WORDS,
    destination=st.just("+32470123456"),
    disposition=DISPOSITIONS,
)
# Usually no filter, because most filtered lists would be empty.
MAYBE_WORD = st.sampled_from([None, None, None, "a", "b"])
WANTED = st.builds(
    WantedRecords,
    account_id=st.just(OURS),
    since=st.sampled_from([EARLIEST, 0, 1, 3]),
    until=st.sampled_from([LATEST, 7, 5]),
    booking_id=MAYBE_WORD,
    service=MAYBE_WORD,
    source=MAYBE_WORD,
    party=MAYBE_WORD,
    disposition=st.sampled_from([None, None, Disposition.ANSWERED]),
)
# What happens between two pages: new records, and which ones are deleted (by position).
CHANGES = st.tuples(st.lists(RECORDS, max_size=3), st.lists(st.integers(0, 30), max_size=3))


@dataclass
class Books:
    """The table, and a list of what it must contain."""

    db: sqlite3.Connection
    reads: Reads
    runner: asyncio.Runner
    kept: dict[str, Cdr]

    def clear(self) -> None:
        self.db.execute("DELETE FROM cdrs")
        self.kept = {}

    def add(self, cdr: Cdr) -> None:
        if cdr.id not in self.kept:
            self.kept[cdr.id] = cdr
            row = asdict(replace(cdr, call_id=CallId(f"call of {cdr.id}")))
            del row["end"], row["tried"]
            columns = ", ".join(row)
            self.db.execute(f"INSERT INTO cdrs ({columns}) VALUES ({', '.join('?' * len(row))})", [*row.values()])  # noqa: S608

    def forget(self, place: int) -> None:
        if place < len(self.kept):
            cdr_id = list(self.kept)[place]
            del self.kept[cdr_id]
            self.db.execute("DELETE FROM cdrs WHERE id = ?", [cdr_id])

    def wanted(self, wanted: WantedRecords) -> list[str]:
        """Returns ids, newest first, as Python sorts them."""
        fitting = [cdr for cdr in self.kept.values() if fits(cdr, wanted)]
        return [cdr.id for cdr in sorted(fitting, key=lambda cdr: (cdr.started_at, cdr.id), reverse=True)]


def fits(cdr: Cdr, wanted: WantedRecords) -> bool:
    asked = {name: value for name, value in wanted.parameters().items() if value is not None}
    party = asked.pop("party", None)
    return (
        wanted.since <= cdr.started_at < wanted.until
        and all(getattr(cdr, name) == value for name, value in asked.items())
        and (party is None or party in {cdr.source, cdr.service})
    )


def ids(records: list[CallRecord]) -> list[str]:
    return [record.cdr.id for record in records]


@pytest.fixture
def books(database: Path) -> Iterator[Books]:
    with asyncio.Runner() as runner, closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        reads = Reads(database)
        runner.run(reads.__aenter__())
        yield Books(db, reads, runner, {})
        runner.run(reads.__aexit__(None, None, None))


def test_pages_skip_and_repeat_no_record_while_records_change(books: Books) -> None:
    pages = 0

    @settings(max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate])
    @given(
        records=st.lists(RECORDS, min_size=10, max_size=30),
        wanted=WANTED,
        limit=st.integers(1, 3),
        looked_at=st.integers(1, 5),
        changes=st.lists(CHANGES, max_size=12),
    )
    def check(
        records: list[Cdr], wanted: WantedRecords, limit: int, looked_at: int, changes: list[tuple[Any, Any]]
    ) -> None:
        nonlocal pages
        books.clear()
        for cdr in records:
            books.add(cdr)
        stayed = set(books.wanted(wanted))
        shown: list[tuple[int, str]] = []
        after: CdrPosition | None = None
        for arriving, leaving in [*changes, *[([], [])] * 60]:
            now_there = set(books.wanted(wanted))
            page = books.runner.run(record_page(books.reads, wanted, after, limit, scan_limit=looked_at))
            assert len(page.records) <= limit
            assert set(ids(page.records)) <= now_there
            shown += [(record.cdr.started_at, record.cdr.id) for record in page.records]
            pages += 1
            after = page.more_after
            if after is None:
                break
            for cdr in arriving:
                books.add(cdr)
            for place in leaving:
                books.forget(place)
            stayed &= set(books.wanted(wanted))
        assert after is None, "the list has an end"
        assert shown == sorted(set(shown), reverse=True), "newest first, each once"
        assert stayed <= {cdr_id for _, cdr_id in shown}

    check()
    print(f"\n{EXAMPLES} lists of {pages} pages, records coming and going between them: 0 skipped, 0 repeated")  # noqa: T201


def test_batches_of_an_export_are_the_whole_list(books: Books) -> None:
    async def export(wanted: WantedRecords, size: int) -> list[str]:
        return [cdr_id async for batch in record_batches(books.reads, wanted, size) for cdr_id in ids(batch)]

    @settings(max_examples=60, deadline=None, database=None, phases=[Phase.generate])
    @given(records=st.lists(RECORDS, max_size=25), wanted=WANTED, size=st.integers(1, 5))
    def check(records: list[Cdr], wanted: WantedRecords, size: int) -> None:
        books.clear()
        for cdr in records:
            books.add(cdr)
        assert books.runner.run(export(wanted, size)) == books.wanted(wanted)

    check()
