"""What the callee's side of each kind of trunk learns about a caller: what the carrier asks for, and no more."""

import pytest

from tests.e2e.carriers.system import SOURCE, CarrierSystem, Line, identifying
from tests.e2e.carriers.variants import VARIANTS, Variant

ASSERTED = "+33199007123"
WITHHELD = ("Privacy: id", f"P-Asserted-Identity: <sip:{ASSERTED}@127.0.0.1>")


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
@pytest.mark.parametrize("withheld", [False, True], ids=["shown", "withheld"])
def test_a_trunk_tells_its_carrier_who_calls_as_the_table_says(
    carrier_system: CarrierSystem, on: Line, variant: Variant, withheld: bool
) -> None:
    booked = carrier_system.book_over(variant)
    dialog, final = on.call(variant, booked.service, WITHHELD if withheld else ())
    assert final.status == 200
    on.hang_up(dialog)
    invite = on.invite(booked.destination)
    expected = variant.withheld if withheld else variant.shown
    assert identifying(invite) == tuple(each.format(n=SOURCE, h="127.0.0.1") for each in expected)
    received = "".join(message.text for message in on.carrier.calls[booked.destination].messages)
    kept_back = {ASSERTED, booked.service} | ({SOURCE} if withheld else set())
    assert [number for number in kept_back if number[-7:] in received] == []
    assert booked.wait_settled()[0]["source"] == ("anonymous" if withheld else SOURCE)
