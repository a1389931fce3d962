"""Metrics of a real engine with real calls: what they count, that Prometheus reads them, and that they name nobody."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from phones.listener import CallbackListener
from tests.e2e import canary
from tests.e2e.api_client import send
from tests.e2e.booking import Booking
from tests.e2e.calls import SOURCE, Caller, wait_talking
from tests.e2e.system import System
from tests.prometheus import DASHBOARD, RULES, expressions, names_in, prometheus_of, samples, scraped

UNKNOWN = "+33199001999"
NAME = "Canary Limited 7b3f"
# What may stand in a label: words, codes of countries, routes, bounds of buckets.
LABEL = re.compile(r"[a-z0-9_.-]+|[A-Z]{2}|[A-Z_]+|[0-9.]+|\+Inf|(/[a-z{}_A-Z.-]*)+")


@dataclass(frozen=True)
class Scene:
    """What the metrics said before and after some calls and requests, and while a call was up."""

    before: str
    during: str
    after: str
    booked: Booking

    def grew(self, name: str, **labels: str) -> float:
        key = (f"rented_numbers_{name}", frozenset(labels.items()))
        return samples(self.after)[key] - samples(self.before).get(key, 0)


def read(system: System) -> str:
    return scraped(system.settings.metrics_address)


def is_counted(system: System, before: str, name: str, **labels: str) -> bool:
    key = (f"rented_numbers_{name}", frozenset(labels.items()))
    return samples(read(system))[key] > samples(before).get(key, 0)


@pytest.fixture(scope="module")
def scene(shared_system: System) -> Iterator[Scene]:
    system, caller = shared_system, Caller(shared_system)
    system.wait_ready()
    system.command("accounts", "create", NAME, "--json")
    with CallbackListener() as listener:
        booked = system.book("LARGE", listener.url)
        before = read(system)
        with caller.hidden(), caller.dialling(booked.service, "uac_hangs_up", keys={"talk": 3_700}) as callers:
            wait_talking(system, callers)
            # The figures of live calls are kept for some seconds.
            system.until(lambda: 'live_calls{state="talking"} 1.0' in read(system), "the call is counted as live")
            during = read(system)
            callers.wait()
        with caller.hidden("uas_busy"):
            assert caller.call(booked.service, "uac_rejected").status == 486
        assert caller.call(UNKNOWN, "uac_rejected").status == 404
        booked.wait_settled(2)
        listener.wait()
        system.get(f"/bookings/{booked.destination}")
        send("PROPFIND", f"{system.address}/{booked.destination}", None, {})
        system.until(
            lambda: is_counted(system, before, "callback_attempts_total", outcome="2xx"), "the callback counts"
        )
        yield Scene(before, during, read(system), booked)


def test_calls_are_counted_by_their_ends_and_by_what_the_trunk_answered(scene: Scene) -> None:
    counted = {
        **{f"calls_total {each}": scene.grew("calls_total", disposition=each) for each in ("ANSWERED", "BUSY", "LOST")},
        **{
            f"trunk_attempts_total {each}": scene.grew("trunk_attempts_total", trunk="main", result=each)
            for each in ("2xx", "4xx", "5xx", "no_answer")
        },
        **{
            f"route_seconds {each}": scene.grew("route_seconds_count", result=each)
            for each in ("bridged", "unknown_number", "failed")
        },
    }
    assert {name: value for name, value in counted.items() if value} == {
        "calls_total ANSWERED": 1,
        "calls_total BUSY": 1,
        "trunk_attempts_total 2xx": 1,
        "trunk_attempts_total 4xx": 1,
        "route_seconds bridged": 2,
        "route_seconds unknown_number": 1,
    }
    # Only the call that was answered has rung, perhaps in the same millisecond, and before it was answered.
    assert scene.grew("post_dial_delay_seconds_count", trunk="main") == 1
    assert scene.grew("answer_seconds_count") == 1
    assert 0 <= scene.grew("post_dial_delay_seconds_sum", trunk="main") <= scene.grew("answer_seconds_sum") < 10
    assert scene.grew("events_lost_total", how="queue_full") == 0
    assert scene.grew("storage_commit_seconds_count") >= 5


def test_a_live_call_and_its_lease_are_shown_and_gone_afterwards(scene: Scene, shared_system: System) -> None:
    live = samples(scene.during)
    assert live["rented_numbers_leased_seconds", frozenset({("state", "talking")})] > 0
    assert live["rented_numbers_ami_state", frozenset({("state", "up")})] == 1
    assert live["rented_numbers_database_up", frozenset()] == 1
    shared_system.until(lambda: 'live_calls{state="talking"} 0.0' in read(shared_system), "no call is counted as live")


def test_requests_are_counted_by_their_routes_and_not_by_their_paths(scene: Scene) -> None:
    assert scene.grew("http_requests_total", route="/bookings/{id}", method="GET", status="4xx") >= 1
    assert scene.grew("http_requests_total", route="none", method="other", status="4xx") == 1


def test_the_apis_address_has_no_metrics(shared_system: System) -> None:
    assert shared_system.get("/metrics").status == 404


def test_no_metric_names_a_number_an_account_or_a_booking(scene: Scene, shared_system: System) -> None:
    with shared_system.database() as database:
        accounts = [text for row in database.execute("SELECT id, name FROM accounts") for text in row]
    assert NAME in accounts
    # The demo's account is called like the profile.
    words = {*shared_system.hidden, SOURCE, UNKNOWN, scene.booked.service, scene.booked.id, *accounts} - {"demo"}
    for text in (scene.during, scene.after):
        # Not the values: digits of a time may be any.
        labels = {value for _, pairs in samples(text) for name, value in pairs if name != "version"}
        assert canary.found_in(" ".join(labels), words) == []
        assert [value for value in labels if not LABEL.fullmatch(value) or re.search("[0-9]{5}", value)] == []


def test_prometheus_reads_the_metrics_and_evaluates_every_rule_and_panel(
    scene: Scene, shared_system: System, tmp_path: Path
) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    with prometheus_of(shared_system.settings.metrics_address, tmp_path) as prometheus:
        prometheus.wait_for('up{job="rented-numbers"} == 1')
        prometheus.wait_for("rented_numbers:calls_failed:increase30m")
        rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
        assert len(rules) == 19
        assert {rule["health"] for rule in rules} <= {"ok", "unknown"}, rules
        named = {name for each in prometheus.get("label/__name__/values") for name in names_in(each)}
        empty = [each for each in expressions(dashboard) if " > 0" not in each and not prometheus.query(each)]
    assert {name for name, _ in samples(scene.during) if name.startswith("rented_numbers")} <= named
    assert empty == []


@pytest.mark.parametrize("path", [RULES, DASHBOARD])
def test_every_metric_that_a_rule_or_a_panel_names_exists(scene: Scene, path: Path) -> None:
    exist = {name for name, _ in samples(scene.during)}
    assert names_in(path.read_text()) - exist == set()


def test_every_metric_is_documented_and_nothing_else(scene: Scene) -> None:
    text = (DASHBOARD.parents[2] / "docs" / "operations.md").read_text()
    documented = set(re.findall(r"`(rented_numbers_\w+)[`{]", text))
    families = set(re.findall(r"^# TYPE (rented_numbers_\w+) ", scene.during, re.MULTILINE))
    assert documented == families
