"""The tuning: figures that only tests change, each of which must make sense."""

import pytest

from engine.config.policy import delivery_rules_of
from engine.config.sources import active_test_switches
from engine.config.tuning import TUNING_VARIABLE, InvalidTuning, Tuning
from tests.unit.test_settings import alone, settings_from

__all__ = ["alone"]  # a fixture


def test_each_figure_of_the_tuning_can_be_changed_for_a_test_and_the_others_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = settings_from(monkeypatch, {"TEST_TUNING": '{"sweep_interval": 0.5, "callback_retries": [0.2, 1]}'})
    assert settings.tuning == Tuning(sweep_interval=0.5, callback_retries=(0.2, 1))
    assert delivery_rules_of(settings).waits_ms == (200, 1_000)
    assert active_test_switches() == [TUNING_VARIABLE]


def test_without_the_switch_the_tuning_is_that_of_production(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_from(monkeypatch)
    assert settings.tuning == Tuning()
    assert active_test_switches() == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "{",
        '{"sweep": 1}',
        '{"sweep_interval": 0}',
        '{"sweep_interval": -1}',
        '{"callback_retries": [0]}',
        '{"callback_pace": 0}',
        '{"max_undecided_calls": 0}',
    ],
)
def test_a_tuning_that_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    with pytest.raises(InvalidTuning, match="for tests only"):
        settings_from(monkeypatch, {"TEST_TUNING": text})
