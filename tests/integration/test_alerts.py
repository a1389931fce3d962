"""Each alert fires when its part is broken, and nothing fires otherwise: `promtool test rules` with our rules."""

import json
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from engine.domain.operator_warnings import FAILED, PUT_THROUGH
from tests.prometheus import CONFIG, RULES, alerts, names_in, promtool

HOURS = 2
MINUTES = HOURS * 60
# Most things have been broken from the beginning; calls begin to fail half an hour before.
BREAKS, LOOKED_AT = 80, "1h50m"


def steady(value: float) -> str:
    return f"{value}x{MINUTES}"


def rising(per_minute: float, then: float | None = None) -> str:
    """A counter; `then`: how fast it rises from BREAKS on."""
    if then is None:
        return f"0+{per_minute}x{MINUTES}"
    return f"0+{per_minute}x{BREAKS} {per_minute * BREAKS + then}+{then}x{MINUTES - BREAKS}"


def series(name: str, **labels: str) -> str:
    """Names a series of the engine."""
    pairs = {"job": "rented-numbers", "instance": "a", **labels}
    words = ",".join(f'{label}="{value}"' for label, value in pairs.items())
    return f"{name if name == 'up' else f'rented_numbers_{name}'}{{{words}}}"


def trunk(name: str, state: str) -> dict[str, str]:
    return {series("trunk_state", trunk=name, state=each): steady(float(each == state)) for each in STATES}


def buckets(name: str, **rates: float) -> dict[str, str]:
    """A histogram; `rates`: for each bound, such as le_0_1, how many values a minute are not greater."""
    bounds = {name.removeprefix("le_").replace("_", "."): rate for name, rate in rates.items()}
    return {series(f"{name}_bucket", le=bound.replace("Inf", "+Inf")): rising(rate) for bound, rate in bounds.items()}


def calls(disposition: str, per_minute: float, then: float | None = None) -> dict[str, str]:
    return {series("calls_total", disposition=disposition): rising(per_minute, then)}


STATES = ("up", "down", "missing", "unknown")
HEALTHY: dict[str, str] = {
    series("up"): steady(1),
    series("ami_state", state="up"): steady(1),
    series("ami_state", state="down"): steady(0),
    series("silent_asterisks"): steady(0),
    **trunk("main", "up"),
    **trunk("second", "unknown"),
    series("numbers", country="BE", state="free"): steady(40),
    series("numbers", country="BE", state="booked"): steady(60),
    series("numbers", country="FR", state="free"): steady(0),
    series("numbers", country="FR", state="retired"): steady(50),
    series("callback_oldest_due_seconds"): steady(20),
    **buckets("storage_commit_seconds", le_0_01=60, le_0_25=60, le_5_0=60, le_Inf=60),
    series("database_up"): steady(1),
    series("storage_failures_total"): steady(0),
    series("readings_failed_total"): steady(1),
    series("sweep_steps_failed_total"): steady(1),
    **calls("ANSWERED", 10),
    **calls("BUSY", 2),
    **calls("CALLER_BLOCKED", 30),
    **calls("UNREACHABLE", 0.3),
    **calls("LOST", 0),
    series("route_seconds_count", result="failed"): steady(0),
    series("route_seconds_count", result="unknown_number"): rising(100),
    **buckets("loop_lag_seconds", le_0_01=600, le_0_1=600, le_2_5=600, le_Inf=600),
    series("events_lost_total", how="queue_full"): steady(0),
    series("events_lost_total", how="found_in_spool"): rising(0.1),
    series("overrun_seconds_total"): rising(0.2),
}


@dataclass(frozen=True)
class Case:
    """What is different from HEALTHY, and which alerts must fire; all others must not. None removes a series."""

    fires: AbstractSet[str] = frozenset()
    changed: Mapping[str, str | None] = field(default_factory=dict)
    at: str = LOOKED_AT


CASES = {
    "all is well": Case(),
    "the engine does not answer": Case({"EngineDown"}, {series("up"): steady(0)}),
    "the engine was never scraped": Case({"EngineDown"}, {series("up"): None}),
    "no link to Asterisk": Case({"AsteriskLinkDown"}, {series("ami_state", state="up"): steady(0)}),
    "an Asterisk has no engine": Case({"AsteriskSilent"}, {series("silent_asterisks"): steady(1)}),
    "one trunk is down": Case({"TrunkDown"}, trunk("main", "down")),
    "Asterisk does not know a trunk": Case({"TrunkDown"}, trunk("main", "missing")),
    "all trunks are down": Case(
        {"TrunkDown", "AllTrunksDown"}, {**trunk("main", "down"), **trunk("second", "missing")}
    ),
    "a country has few numbers": Case({"PoolNearlyEmpty"}, {series("numbers", country="BE", state="free"): steady(6)}),
    "a country has no number": Case({"PoolNearlyEmpty"}, {series("numbers", country="BE", state="free"): steady(0)}),
    "callbacks are old": Case({"CallbacksOld"}, {series("callback_oldest_due_seconds"): steady(301)}),
    "commits are slow": Case(
        {"StorageSlow"}, buckets("storage_commit_seconds", le_0_01=50, le_0_25=56, le_5_0=60, le_Inf=60)
    ),
    "the database is down": Case({"StorageFailing"}, {series("database_up"): steady(0)}),
    "commits fail": Case({"StorageFailing"}, {series("storage_failures_total"): rising(1)}),
    "a step of the sweep fails": Case({"SweepFails"}, {series("sweep_steps_failed_total"): rising(6)}),
    "figures cannot be read": Case({"MetricsIncomplete"}, {series("readings_failed_total"): rising(1)}),
    "calls fail at the carrier": Case({"CallsFail"}, calls("UNREACHABLE", 0.3, 5)),
    "calls are lost": Case({"CallsFail"}, calls("LOST", 0, 5)),
    "routes fail": Case({"CallsFail"}, {series("route_seconds_count", result="failed"): rising(0, 5)}),
    "calls fail from the first hour on": Case({"CallsFail"}, calls("UNREACHABLE", 8), "50m"),
    "as many calls fail as ever": Case(changed=calls("UNREACHABLE", 3)),
    "few calls fail, of few": Case(changed={**calls("ANSWERED", 0), **calls("BUSY", 0), **calls("LOST", 0, 0.5)}),
    "the event loop is late": Case(
        {"LoopLag"}, buckets("loop_lag_seconds", le_0_01=500, le_0_1=580, le_2_5=600, le_Inf=600)
    ),
    "events are lost": Case({"EventsLost"}, {series("events_lost_total", how="found_in_spool"): rising(2)}),
    "calls talk too long": Case({"CallsOverrun"}, {series("overrun_seconds_total"): rising(2)}),
}
PREFIX = "RentedNumbers"


def as_rule_test(name: str, case: Case) -> dict[str, object]:
    present = {name: values for name, values in {**HEALTHY, **case.changed}.items() if values is not None}
    firing = sorted(f"{PREFIX}{each}" for each in case.fires)
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": each, "values": values} for each, values in present.items()],
        "promql_expr_test": [
            {
                "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": case.at,
                "exp_samples": [{"labels": f'{{alertname="{each}"}}', "value": 1} for each in firing],
            }
        ],
    }


def run(directory: Path, cases: Mapping[str, Case]) -> str:
    tests = {"rule_files": [str(RULES)], "evaluation_interval": "1m"}
    path = directory / "tests.yml"
    path.write_text(json.dumps(tests | {"tests": [as_rule_test(*item) for item in cases.items()]}))
    return promtool("test", "rules", path)


def test_promtool_accepts_the_configuration_and_the_rules() -> None:
    assert "19 rules found" in promtool("check", "config", CONFIG)


def test_each_alert_fires_when_its_part_is_broken_and_no_other_does(tmp_path: Path) -> None:
    assert {f"{PREFIX}{each}" for case in CASES.values() for each in case.fires} == alerts()
    assert "SUCCESS" in run(tmp_path, CASES)


def test_a_missing_and_a_superfluous_alert_are_noticed(tmp_path: Path) -> None:
    """The two tests above would otherwise prove nothing."""
    wrong = [Case({"LoopLag"}), Case(changed={series("database_up"): steady(0)})]
    for case in wrong:
        with pytest.raises(AssertionError, match="exp:"):
            run(tmp_path, {"wrong": case})


def test_the_rules_and_the_warnings_of_the_engine_count_the_same_calls() -> None:
    counted = re.findall(r'calls_total\{disposition=~"([A-Z_|]+)"\}', RULES.read_text())
    assert [set(each.split("|")) for each in counted] == [PUT_THROUGH, FAILED]


def test_the_rules_are_tested_with_every_metric_that_they_use() -> None:
    assert names_in(RULES.read_text()) == names_in(" ".join(HEALTHY))
