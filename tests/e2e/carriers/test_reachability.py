"""A carrier that stops answering OPTIONS is passed over at once, and used again as soon as it answers."""

import time

from tests.e2e.carriers.system import CarrierSystem, Line
from tests.e2e.carriers.variants import VARIANTS

[WATCHED] = [variant for variant in VARIANTS if "qualify" in variant.trunk]
# Its own interval, and the time for which Asterisk waits for an answer.
NOTICED_SECONDS = 1 + 3 + 2.0
AT_ONCE_SECONDS = 1.0


def state(system: CarrierSystem) -> str:
    """The state of the trunk, which is also DEVICE_STATE(PJSIP/trunk-…)."""
    shown = system.asterisk_console(f"pjsip show endpoint trunk-{WATCHED.name}")
    return next(line for line in shown.splitlines() if f"Endpoint:  trunk-{WATCHED.name}" in line)


def test_a_trunk_that_does_not_answer_is_passed_over_until_it_does(carrier_system: CarrierSystem, on: Line) -> None:
    carrier_system.until(lambda: "Unavailable" not in state(carrier_system), "the trunk is up")
    on.carrier.answers_options = False
    try:
        silent = time.monotonic()
        carrier_system.until(lambda: "Unavailable" in state(carrier_system), "the trunk is down")
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
    carrier_system.until(lambda: "Unavailable" not in state(carrier_system), "the trunk is up again")
    back = time.monotonic() - answering
    dialog, final = on.call(WATCHED, carrier_system.book_over(WATCHED).service)
    assert final.status == 200
    on.hang_up(dialog)
    print(f"\ndown seen after {noticed:.1f} s, refused within {waited:.2f} s, back after {back:.1f} s")  # noqa: T201  the figures
    assert noticed < NOTICED_SECONDS
    assert waited < AT_ONCE_SECONDS
    assert back < NOTICED_SECONDS
