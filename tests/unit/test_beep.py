"""When a call beeps before its end: a minute before its limit, whatever limit it has by then."""

import pytest

from engine.domain.beep import until_beep_ms

MINUTE = 60_000


@pytest.mark.parametrize(
    ("talked", "left", "until"),
    [
        pytest.param(0, 600_000, 540_000, id="a minute before the limit"),
        pytest.param(540_000, MINUTE, 0, id="now"),
        pytest.param(540_000, MINUTE + 1, 1, id="in a millisecond"),
        pytest.param(200_000, 30_000, 0, id="at once, because the limit fell below a minute"),
        pytest.param(200_000, 10_000, 0, id="the latest"),
        pytest.param(200_000, 9_999, None, id="too late"),
        pytest.param(0, 75_000, 15_000, id="the shortest call"),
        pytest.param(0, 74_999, None, id="a shorter call"),
        pytest.param(20_000, 30_000, None, id="a call that has become shorter"),
        pytest.param(600_000, 0, None, id="over"),
    ],
)
def test_a_beep_comes_a_minute_before_the_limit(talked: int, left: int, until: int | None) -> None:
    assert until_beep_ms(talked, left, MINUTE) == until
