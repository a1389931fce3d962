"""A callback host that fails has one line in the log an hour, with the count, and one when it is back."""

from structlog.testing import capture_logs

from engine.callbacks import failing_hosts
from engine.callbacks.failing_hosts import FailingHosts
from engine.domain.times import HOUR_MS, EpochMs

START = EpochMs(1_772_366_400_000)
MINUTE = 60_000


def test_a_failing_host_is_logged_once_an_hour_with_its_failures() -> None:
    hosts = FailingHosts()
    with capture_logs() as logs:
        for minute in range(150):
            now = EpochMs(START + minute * MINUTE)
            hosts.failed("down.example", now, outcome="timeout", event_id=f"evt_{minute}")
            hosts.succeeded("up.example", now)
        hosts.failed("other.example", START, outcome="HTTP 500", event_id="evt_other")
        hosts.succeeded("down.example", EpochMs(START + 150 * MINUTE))
        hosts.failed("down.example", EpochMs(START + 151 * MINUTE), outcome="timeout", event_id="evt_again")
    lines = [(each["event"], each["host"], each["failures"], each["since_ms"] // MINUTE) for each in logs]
    assert lines == [
        ("callback_host_failing", "down.example", 1, 0),
        ("callback_host_failing", "down.example", 61, 60),
        ("callback_host_failing", "down.example", 121, 120),
        ("callback_host_failing", "other.example", 1, 0),
        ("callback_host_back", "down.example", 150, 150),
        ("callback_host_failing", "down.example", 1, 0),
    ]
    assert logs[1]["outcome"] == "timeout"
    assert logs[1]["event_id"] == "evt_60"


def test_a_clock_set_back_does_not_silence_a_host() -> None:
    hosts = FailingHosts()
    with capture_logs() as logs:
        for now in (START, EpochMs(START - 50 * HOUR_MS), EpochMs(START - 50 * HOUR_MS + 1)):
            hosts.failed("down.example", now, outcome="timeout", event_id="evt_1")
    assert [each["failures"] for each in logs] == [1, 2]


def test_the_hosts_that_are_remembered_are_bounded() -> None:
    hosts = FailingHosts()
    with capture_logs():
        for index in range(failing_hosts.MAX_HOSTS + 5):
            hosts.failed(f"{index}.example", START, outcome="timeout", event_id="evt_1")
    assert len(hosts._hosts) == failing_hosts.MAX_HOSTS
