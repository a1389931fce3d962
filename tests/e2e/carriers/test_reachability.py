"""A carrier that stops answering OPTIONS is passed over at once, and used again as soon as it answers."""

import time

from tests.e2e.carriers.system import CarrierSystem, Line
from tests.e2e.carriers.variants import WATCHED

# Its own interval, and the time for which Asterisk waits for an answer.
NOTICED_SECONDS = 1 + 3 + 4.0
AT_ONCE_SECONDS = 3.0


def test_a_trunk_that_does_not_answer_is_passed_over_until_it_does(carrier_system: CarrierSystem, on: Line) -> None:
    carrier_system.until(lambda: carrier_system.is_up(WATCHED), "the trunk is up")
    on.carrier.answers_options = False
    try:
        silent = time.monotonic()
        carrier_system.until(lambda: not carrier_system.is_up(WATCHED), "the trunk is down")
        noticed = time.monotonic() - silent
        booked = carrier_system.book_over(WATCHED)
        dialled = time.monotonic()
        _, final = on.call(WATCHED, booked.service)
        waited = time.monotonic() - dialled
    finally:
        on.carrier.answers_options = True
        answering = time.monotonic()
    assert (final.status, booked.destination in on.carrier.calls) == (503, False)
    assert booked.wait_settled()[0]["disposition"] == "UNREACHABLE"
    carrier_system.until(lambda: carrier_system.is_up(WATCHED), "the trunk is up again")
    back = time.monotonic() - answering
    dialog, final = on.call(WATCHED, carrier_system.book_over(WATCHED).service)
    assert final.status == 200
    on.hang_up(dialog)
    print(f"\ndown seen after {noticed:.1f} s, refused within {waited:.2f} s, back after {back:.1f} s")  # noqa: T201  the figures
    assert noticed < NOTICED_SECONDS
    assert waited < AT_ONCE_SECONDS
    assert back < NOTICED_SECONDS
