"""Over no kind of trunk does a caller learn who the callee is; and without the protections, over each of them."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.carriers.leaking import CELLS, Played, play
from tests.e2e.carriers.system import CarrierSystem, Line, line
from tests.e2e.carriers.variants import VARIANTS, Variant
from tests.e2e.leaks.configuration import unprotected_dialplan, unprotected_endpoint

# The first test waits for all calls.
pytestmark = pytest.mark.timeout(300)
# The options that protect together: each of them alone would still close the leak.
REMOVED = {
    "send_pai": "yes",
    "send_rpid": "yes",
    "send_connected_line": "yes",
    "trust_id_inbound": "yes",
    "trust_connected_line": "yes",
}
# What a trunk shows to its own side is written for the endpoint of that side alone.
SHOWS = {"pai": "send_pai", "rpid": "send_rpid"}


class MutantSystem(CarrierSystem):
    """The same trunks without the protections."""

    def stop(self) -> None:
        # Asterisk logs the numbers that it forwards to.
        self.hidden.clear()
        super().stop()

    def alter(self, etc: Path) -> None:
        super().alter(etc)
        path = etc / "pjsip_rented_numbers.conf"
        text = path.read_text()
        for name, value in REMOVED.items():
            text, count = re.subn(rf"^{name} = no$", f"{name} = {value}", text, count=1, flags=re.MULTILINE)
            assert count == 1
        path.write_text(text)
        dialplan = etc / "extensions_rented_numbers.conf"
        calls = dialplan.read_text()
        assert ",iIrU(" in calls
        dialplan.write_text(calls.replace(",iIrU(", ",irU("))


@pytest.fixture(scope="module")
def played(carrier_system: CarrierSystem, on: Line) -> dict[str, Played]:
    return {str(each): each for each in play(carrier_system, on)}


@pytest.fixture(scope="module")
def unprotected() -> Iterator[dict[str, Played]]:
    with MutantSystem() as system, line(system) as opened:
        yield {str(each): each for each in play(system, opened, CELLS[:1])}


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_nothing_that_the_caller_receives_shows_the_callee(
    played: dict[str, Played], variant: Variant, cell: object
) -> None:
    each = played[f"{variant.name}: {cell}"]
    assert each.shown_all
    assert each.outcome.complete
    assert each.outcome.status == each.cell.status
    assert each.leaks == []


@pytest.mark.runs_once
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_without_the_protections_the_same_search_finds_the_callee(
    unprotected: dict[str, Played], variant: Variant
) -> None:
    assert unprotected[f"{variant.name}: {CELLS[0]}"].leaks != []


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_trunk_has_every_protection_but_the_header_that_its_carrier_asks_for(
    carrier_system: CarrierSystem, variant: Variant
) -> None:
    shows = SHOWS.get(str(variant.trunk.get("caller_id_header")))
    assert unprotected_endpoint(carrier_system, f"carrier-{variant.name}") == set()
    assert unprotected_endpoint(carrier_system, f"trunk-{variant.name}") == ({shows} if shows else set())
    assert unprotected_dialplan(carrier_system, "rented-numbers") == set()
