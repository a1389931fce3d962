"""Whatever the callee sends and however the call ends, the caller learns neither its number nor its address."""

import pytest

from phones.peer import payload_of
from tests.e2e.leaks.run import Played, Run
from tests.e2e.leaks.search import leaks, shows_number
from tests.e2e.leaks.system import PROMPT_SECONDS, LeakSystem
from tests.e2e.leaks.table import ROWS, TRANSPORTS, Cell, Column, cells, makes_sense

# The first test waits for all calls.
pytestmark = pytest.mark.timeout(400)
CELLS = cells()
PACKET_SECONDS = 0.02
Table = dict[Cell, Played]


@pytest.fixture(scope="module")
def run(leak_system: LeakSystem) -> Run:
    return Run(leak_system, CELLS)


@pytest.fixture(scope="module")
def table(run: Run) -> Table:
    """Plays the table once; the tests check the results."""
    return {played.cell: played for played in run.play()}


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_nothing_that_the_caller_receives_shows_the_callee(table: Table, cell: Cell) -> None:
    played = table[cell]
    # First, the cell is no empty one: the callee sent everything of its row, and the call took its column's way.
    assert played.shown_all
    assert played.outcome.complete
    assert played.outcome.status == cell.status
    assert leaks(played.outcome.shown, played.secret) == []


def test_whoever_a_hidden_number_calls_receives_nothing_that_shows_it(table: Table) -> None:
    called = [played.part for cell, played in table.items() if cell.column.hides_caller]
    assert all(part.heard for part in called)
    shown = [
        (str(part.cell), packet.data)
        for part in called
        for packet in part.heard
        if shows_number(packet, part.source, (*part.secret.known[:1], part.secret.number))
    ]
    assert shown == []


def test_after_the_answer_the_caller_hears_the_callee(table: Table) -> None:
    """This shows that the caller's side records sound, so that silence before the answer proves something."""
    for cell, played in table.items():
        if cell.talks:
            heard = b"".join(payload_of(packet) for packet in played.outcome.shown.sound)
            assert f"late {played.secret.number}".encode() in heard, str(cell)


def test_before_a_refusal_that_is_spoken_the_caller_hears_the_prompt(table: Table) -> None:
    for cell, played in table.items():
        if cell.speaks:
            assert len(played.outcome.shown.sound) >= PROMPT_SECONDS / PACKET_SECONDS / 2, str(cell)


def test_each_hidden_number_is_called_once_on_each_trunk_and_no_other_number(run: Run, table: Table) -> None:
    called = {cell: played for cell, played in table.items() if cell.column.calls}
    calls = {played.secret.number: 2 if cell.column is Column.SECOND_TRUNK else 1 for cell, played in called.items()}
    # The hidden numbers that call back were called before, by the callers whom they call.
    calls |= {played.part.source: 1 for cell, played in table.items() if cell.column is Column.REVERSE}
    assert run.dialled == calls
    # An empty datagram tells nothing: another program's look at a port may send one.
    assert [packet.data for packet in run.strays if packet.data] == []


def test_a_call_over_tls_sends_nothing_in_the_clear(run: Run, table: Table) -> None:
    """The Contact and the Record-Route of one row name no transport, which means UDP (RFC 3263 section 4.1)."""
    shown = [table[cell] for cell in CELLS if cell.is_secure_throughout and cell.row.name == "Contact and routes"]
    heard = [{packet.message.method for packet in each.part.heard} for each in shown]
    assert heard
    assert all({"ACK", "BYE"} <= methods for methods in heard)
    assert [packet.data for packet in run.in_clear if packet.data] == []


def test_the_whole_table_leaks_nothing(table: Table) -> None:
    leaking = [cell for cell, played in table.items() if leaks(played.outcome.shown, played.secret)]
    messages = sum(len(played.outcome.shown.sip) for played in table.values())
    over = ", ".join(f"{sum(cell.transport == each for cell in table)} over {each.upper()}" for each in TRANSPORTS)
    print(f"\nleaks {len(leaking)} / {len(table)} cells ({over}), {messages} messages searched")  # noqa: T201  the figure
    assert leaking == []
    assert len(table) == len(CELLS)


def test_every_row_is_in_every_column_where_it_can_be_and_once_over_tcp_and_tls() -> None:
    for row in ROWS:
        over = {name: {c.column for c in CELLS if (c.row, c.transport) == (row, name)} for name in TRANSPORTS}
        assert over["udp"] == {column for column in Column if makes_sense(row, column)}
        assert len(over["tcp"]) == len(over["tls"]) == 1
    for transport in TRANSPORTS:
        assert {cell.column for cell in CELLS if cell.transport == transport} == set(Column)
