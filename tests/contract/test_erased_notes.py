"""A person's number is erased from labels and metadata too, and from the callbacks that repeat them."""

import json

from engine.bookings import lifecycle as bookings
from engine.bookings.lifecycle import BookingRequest
from engine.domain.ids import CallId
from engine.domain.policy import UsagePlan
from tests.contract.erasing import DIGITS, PERSON, call, erased_from, everything
from tests.contract.samples import CALLBACK, CALLER, HIDDEN, POLICY, START
from tests.contract.world import World


async def test_a_number_is_erased_from_labels_metadata_and_callbacks_that_repeat_them(world: World) -> None:
    notes = {"who": f"Ann, {PERSON} or 00{DIGITS}", DIGITS: "her", "order": f"9{DIGITS}"}
    without = {"who": "Ann, erased or erased", "erased": "her", "order": f"9{DIGITS}"}
    request = BookingRequest(
        world.account, HIDDEN, UsagePlan.MEDIUM, CALLBACK, label=f"Ann {PERSON}\u00e9", metadata=notes
    )
    booking = await world.storage.run(bookings.book, request, START, POLICY)
    other = await world.book(UsagePlan.MEDIUM)
    for each in (booking, other):
        await call(world, each, CallId(each.id), CALLER)
    erased = await erased_from(world)
    stored = await world.stored(booking)
    # The booking stays active: neither of the two affects its calls.
    assert (stored.gone_at, stored.label, stored.metadata) == (None, "Ann erased\u00e9", without)
    bodies = [json.loads(row["body"]) for row in world.rows("SELECT body FROM outbox ORDER BY id")]
    assert [body.get("metadata") for body in bodies] == [without, None]
    assert (erased.counts["bookings"], erased.counts["callbacks"], erased.remaining) == (1, 1, [])
    assert sum((await erased_from(world)).counts.values()) == 0
    assert everything(world).count(DIGITS) == everything(world).count(f"9{DIGITS}") == 2
