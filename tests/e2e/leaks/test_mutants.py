"""The tests detect each removed protection: by what the caller receives, by where the call goes, or by configuration.

Some protections cover for each other, so that removing one alone makes no leak. For these there are mutants without
both, which leak; and a test reads each option of the configuration from Asterisk itself.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from phones.peer import media_blocks
from tests.e2e.leaks.configuration import unprotected_dialplan, unprotected_endpoint, unproven_identity
from tests.e2e.leaks.media_lines import FAX, SOUND, VIDEO
from tests.e2e.leaks.mutants import MUTANTS, Mutant, MutantSystem, Seen, address
from tests.e2e.leaks.run import Run
from tests.e2e.leaks.scene import PATIENCE, scene
from tests.e2e.leaks.search import leaks
from tests.e2e.leaks.table import CONTACT, IDENTITY, ROWS, Cell, Column, Request, Row

# The first test waits for all calls.
pytestmark = [pytest.mark.timeout(400), pytest.mark.runs_once]
# A row that shows everything in one call.
EVERYTHING = Row(
    "everything",
    IDENTITY,
    early=6,
    requests=(Request("UPDATE", (*IDENTITY, CONTACT)), Request("INVITE", (*IDENTITY, CONTACT), sdp=True)),
)
[MOVED] = [row for row in ROWS if row.refuses == 302]
# The answer to strangers who call the number of a pair.
UNKNOWN = 404
TEXTS = "res_pjsip_messaging.so"
CELLS = (Cell(EVERYTHING, Column.CALLEE_ENDS), Cell(EVERYTHING, Column.REVERSE), Cell(MOVED, Column.REFUSED))


@dataclass
class Verdict:
    """What detected one mutant: leaks to the caller, the way of its calls, the configuration."""

    shown: list[str] = field(default_factory=list)
    way: list[str] = field(default_factory=list)
    configuration: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def mutant_system() -> Iterator[MutantSystem]:
    with MutantSystem() as system:
        yield system


@pytest.fixture(scope="module")
def verdicts(mutant_system: MutantSystem) -> dict[str, Verdict]:
    found = {address(mutant): Verdict() for mutant in MUTANTS}
    calls = [(cell, address(mutant)) for mutant in MUTANTS for cell in _cells(mutant) for _ in range(mutant.tries)]
    run = Run(mutant_system, [cell for cell, _ in calls], [host for _, host in calls])
    for played in run.play():
        verdict, cell, outcome = found[played.host], played.cell, played.outcome
        verdict.shown += leaks(outcome.shown, played.secret)
        if outcome.status != cell.status or not outcome.complete:
            verdict.way.append(f"{cell}: {outcome.status}")
    for mutant in MUTANTS:
        if mutant.transfers:
            found[address(mutant)].way += _transfers(mutant_system, address(mutant))
        if mutant.spoofs:
            found[address(mutant)].way += _spoofs(mutant_system, address(mutant))
        if mutant.media:
            found[address(mutant)].way += _media(mutant_system, address(mutant))
    with ThreadPoolExecutor(4) as pool:
        wrong = pool.map(lambda number: _configuration(mutant_system, number), range(len(MUTANTS)))
        for mutant, options in zip(MUTANTS, wrong, strict=True):
            found[address(mutant)].configuration = options
    return {mutant.name: found[address(mutant)] for mutant in MUTANTS}


def _cells(mutant: Mutant) -> Iterator[Cell]:
    yield from CELLS
    if mutant.answers or mutant.seen is Seen.NOWHERE:
        yield Cell(EVERYTHING, Column.UNSCREENED)
    if mutant.greets:
        yield Cell(EVERYTHING, Column.GREETED)


def _configuration(system: MutantSystem, number: int) -> set[str]:
    options = {each for side in ("carrier", "trunk") for each in unprotected_endpoint(system, f"{side}-m{number}")}
    way = f"rented-numbers-m{number}"
    return options | unprotected_dialplan(system, way) | unproven_identity(system, f"{way}-asserted")


def _spoofs(system: MutantSystem, carrier: str) -> list[str]:
    """Calls as a hidden number, without the carrier's word for it. Returns who else was reached."""
    called, last_caller = system.hide(reverse=True), system.another_number()
    pair = system.pair(system.another_number(), system.another_number())
    with scene(system, carrier) as on:
        for source in (last_caller, called.number):
            dialog, answer = on.call(called.service, source=source)
            assert answer.status == 200
            on.ask(dialog, "BYE")
        dialog, answer = on.call(pair.service, source=pair.number)
        if answer.status != UNKNOWN:
            on.ask(dialog, "BYE")
        return [f"{number} was called by a hidden one" for number in on.dialled if number != called.number]


def _transfers(system: MutantSystem, carrier: str) -> list[str]:
    called, other = system.hide(), system.hide()
    with scene(system, carrier) as on:
        dialog, _ = on.call(called.service)
        taken = [
            f"key # of the {who}"
            for who, presser, listener in (("caller", dialog, on.callee), ("callee", on.callee, dialog))
            if not on.key_reaches("#", presser, listener)
        ]
        if not taken:
            target = f"Refer-To: <sip:{other.service}@127.0.0.1:{system.asterisk[1]}>"
            on.ask(dialog, "REFER", (target,), patience=PATIENCE)
            on.quiet()
        return taken + [f"{number} was dialled as well" for number in on.dialled[1:]]


def _media(system: MutantSystem, carrier: str) -> list[str]:
    """Offers video in an INVITE, and fax in a re-INVITE. Returns what the callee was offered after its first INVITE."""
    called = system.hide()
    with scene(system, carrier) as on:
        dialog, answer = on.call(called.service, lines=(VIDEO, SOUND))
        assert answer.status == 200
        on.offer(dialog, (FAX,))
        on.quiet()
        invites = [each for each in on.callee.messages if each.status is None and each.method == "INVITE"][1:]
        return [block[0] for invite in invites for block in media_blocks(invite)]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_removed_protection_is_detected(verdicts: dict[str, Verdict], mutant: Mutant) -> None:
    verdict = verdicts[mutant.name]
    assert bool(verdict.configuration) == (mutant.seen is not Seen.NOWHERE)
    assert bool(verdict.shown) == (mutant.seen is Seen.LEAK)
    assert bool(verdict.way) == (mutant.seen is Seen.WAY)


def test_every_protecting_option_and_flag_has_its_mutants(verdicts: dict[str, Verdict]) -> None:
    """A mutant alone shows that the test of the configuration detects it; some mutant shows an effect on the wire."""
    alone = [mutant for mutant in MUTANTS if len(mutant.options) + len(mutant.dialplan) == 1]
    options = {name for mutant in alone for name in mutant.options}
    assert options == {
        "allow_transfer", "direct_media", "max_video_streams", "redirect_method", "send_connected_line",
        "send_diversion", "send_history_info", "send_pai", "send_rpid", "t38_udptl", "trust_connected_line",
        "trust_id_inbound",
    }  # fmt: skip
    on_the_wire = [mutant for mutant in MUTANTS if verdicts[mutant.name].shown or verdicts[mutant.name].way]
    assert {name for mutant in on_the_wire for name in mutant.options} == options


def test_the_products_own_configuration_has_every_protection(mutant_system: MutantSystem) -> None:
    """The mutants were made from these sections."""
    for endpoint in ("carrier-main", "trunk-main", "softphone1", "softphone2"):
        assert unprotected_endpoint(mutant_system, endpoint) == set(), endpoint
    assert unprotected_dialplan(mutant_system, "rented-numbers") == set()


def test_a_module_that_forwards_text_messages_is_detected(mutant_system: MutantSystem) -> None:
    """The product's files cannot prevent this leak if Asterisk has the module loaded. Our own Asterisk has not."""
    assert "0 modules loaded" in mutant_system.asterisk_console(f"module show like {TEXTS}")
    [text] = [row for row in ROWS if row.name == "MESSAGE"]
    cell = Cell(text, Column.CALLEE_ENDS)
    [without] = Run(mutant_system, [cell]).play()
    assert leaks(without.outcome.shown, without.secret) == []
    mutant_system.asterisk_console(f"module load {TEXTS}")
    [with_it] = Run(mutant_system, [cell]).play()
    mutant_system.asterisk_console(f"module unload {TEXTS}")
    assert leaks(with_it.outcome.shown, with_it.secret) != []


def test_a_module_that_lets_a_call_be_taken_over_is_noticed(mutant_system: MutantSystem) -> None:
    """`allow_transfer = no` does not concern an INVITE with Replaces; our own Asterisk does not load the module."""
    assert "1 modules loaded" in mutant_system.asterisk_console("module show like res_pjsip_refer.so")
    called, other = mutant_system.hide(), mutant_system.hide()
    with scene(mutant_system) as on:
        dialog, _ = on.call(called.service)
        ours, theirs = dialog.local.rpartition("tag=")[2], dialog.peer.rpartition("tag=")[2]
        replaces = f"Replaces: {dialog.call_id};to-tag={theirs};from-tag={ours}"
        thief, answer = on.call(other.service, (replaces,))
        on.quiet()
        # The first caller is put out, and who took its place talks to its callee; no number was called for it.
        assert (answer.status, on.dialled) == (200, [called.number])
        assert [each.method for each in dialog.messages if each.status is None] == ["BYE"]
        assert on.ask(thief, "BYE") == 200


def test_all_mutants_are_caught(verdicts: dict[str, Verdict]) -> None:
    mutants = [verdicts[mutant.name] for mutant in MUTANTS if mutant.seen is not Seen.NOWHERE]
    wire = sum(bool(verdict.shown or verdict.way) for verdict in mutants)
    caught = sum(bool(verdict.shown or verdict.way or verdict.configuration) for verdict in mutants)
    print(f"\nmutants caught {caught} / {len(mutants)}, {wire} of them on the wire")  # noqa: T201  the figure
    assert caught == len(mutants)
