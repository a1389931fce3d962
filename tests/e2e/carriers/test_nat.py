"""Behind a router that translates addresses, carriers get the address before it, and our own network gets ours."""

import pytest

from phones.messages import Message
from phones.peer import media_of, uri_of
from tests.e2e.carriers.system import EXTERNAL, LOCAL, CarrierSystem, Line
from tests.e2e.carriers.variants import VARIANTS, Variant

OURS = "127.0.0.1"


def addresses(message: Message) -> dict[str, str]:
    """The hosts that a message of ours gives: in its Contact, in its own Via, and for sound."""
    contact = uri_of(message.header("Contact"))
    found = {"Contact": contact.partition("@")[2].partition(":")[0] or contact.partition(":")[2].partition(":")[0]}
    if message.status is None:
        found["Via"] = message.header("Via").split()[1].partition(":")[0]
    media = media_of(message)
    return found | ({"sound": media[0]} if media else {})


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_call_gives_each_side_the_address_that_it_can_reach(
    carrier_system: CarrierSystem, on: Line, variant: Variant
) -> None:
    booked = carrier_system.book_over(variant)
    dialog, final = on.call(variant, booked.service)
    assert final.status == 200
    on.hang_up(dialog)
    assert set(addresses(on.invite(booked.destination)).values()) == {EXTERNAL}
    assert len(addresses(on.invite(booked.destination))) == 3
    assert addresses(final) == dict.fromkeys(("Contact", "sound"), OURS if variant is LOCAL else EXTERNAL)


def test_a_registration_gives_the_address_before_the_router(on: Line) -> None:
    assert addresses(on.carrier.registers[-1]) == {"Contact": EXTERNAL, "Via": EXTERNAL}
