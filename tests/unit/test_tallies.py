"""What metrics count in memory: sizes, results of attempts, requests, the lateness of the event loop."""

import asyncio
import time

import pytest
from prometheus_client.exposition import generate_latest

from engine.domain.call_ends import Attempt, DialplanEnd, EndedCall, attempt_results
from engine.domain.dispositions import Disposition
from engine.domain.prompts import Prompt
from engine.domain.rejections import NO_TRUNK, UNKNOWN_NUMBER
from engine.domain.routing import AskPin
from engine.metrics.call_tallies import CallTallies
from engine.metrics.collector import figure_families
from engine.metrics.database_figures import DatabaseFigures
from engine.metrics.exposition import SAMPLES_A_TURN, _OneFamily, write
from engine.metrics.families import gauge, histogram
from engine.metrics.loop_lag import LoopLag
from engine.metrics.request_counts import RequestCounts
from engine.metrics.route_tallies import RouteResult, RouteTallies
from engine.runtime.tallies import Histogram
from engine.storage.tallies import StorageTallies


async def test_a_value_is_in_the_first_bucket_whose_bound_is_not_smaller() -> None:
    tally = Histogram((1, 2.5))
    for value in (0, 1, 1.01, 2.5, 2.6, 100):
        tally.add(value)
    assert tally.counts == [2, 2, 2]
    text = (await write([histogram("x_seconds", "X.", {("a",): tally}, ("of",))])).decode()
    lines = [line.removeprefix("rented_numbers_x_seconds") for line in text.splitlines() if not line.startswith("#")]
    # As Prometheus has them, buckets contain those before them.
    assert lines == [
        '_bucket{le="1.0",of="a"} 2.0',
        '_bucket{le="2.5",of="a"} 4.0',
        '_bucket{le="+Inf",of="a"} 6.0',
        '_count{of="a"} 6.0',
        f'_sum{{of="a"}} {0 + 1 + 1.01 + 2.5 + 2.6 + 100}',
    ]


@pytest.mark.parametrize("series", [0, 1, SAMPLES_A_TURN, 3 * SAMPLES_A_TURN + 1])
async def test_a_large_family_is_written_in_parts_as_it_would_be_at_once(series: int) -> None:
    family = gauge("numbers", "Numbers.", {(f"c{number}",): number for number in range(series)}, ("country",))
    tally = histogram("x_seconds", "X.", {(f"t{number}",): Histogram((1, 2)) for number in range(series)}, ("trunk",))
    assert await write([family, tally]) == b"".join(generate_latest(_OneFamily(each)) for each in (family, tally))


def test_a_country_without_free_numbers_has_a_zero_which_an_alert_can_see() -> None:
    pool = {("BE", "FREE"): 3, ("FR", "BOOKED"): 1, (None, "RETIRED"): 2}
    [numbers] = figure_families(DatabaseFigures(None, None, pool, None, None))
    assert {(each.labels["country"], each.labels["state"]): each.value for each in numbers.samples} == {
        ("BE", "free"): 3,
        ("FR", "free"): 0,
        ("FR", "booked"): 1,
        ("none", "free"): 0,
        ("none", "retired"): 2,
    }


def failed(trunk: str, status: str, sip_code: int | None = None) -> Attempt:
    return Attempt(trunk, status, sip_code)


ENDS = {
    "answered": (DialplanEnd("ANSWER", "a"), [("a", "2xx")]),
    "answered over the second": (
        DialplanEnd("ANSWER", "b", (failed("a", "CONGESTION", 503),)),
        [("a", "5xx"), ("b", "2xx")],
    ),
    "the caller gave up": (DialplanEnd("CANCEL", "a", source="caller"), [("a", "given_up")]),
    "busy": (DialplanEnd("BUSY", "a", (failed("a", "BUSY", 486),)), [("a", "4xx")]),
    "declined": (DialplanEnd("BUSY", "a", (failed("a", "CHANUNAVAIL", 603),)), [("a", "6xx")]),
    "moved": (DialplanEnd("BUSY", "a", (failed("a", "BUSY", 302),)), [("a", "3xx")]),
    "silent": (DialplanEnd("CHANUNAVAIL", "a", (failed("a", "SILENT"),)), [("a", "no_answer")]),
    "rang until the time was over": (DialplanEnd("NOANSWER", "a", (failed("a", "NOANSWER"),)), [("a", "no_answer")]),
    "full": (DialplanEnd("ANSWER", "b", (failed("a", "FULL"),)), [("a", "full"), ("b", "2xx")]),
    "hung up as it answered": (DialplanEnd("ANSWER", "a", (failed("a", "ANSWER"),)), [("a", "2xx")]),
    "a softphone": (DialplanEnd("ANSWER"), []),
    "nothing was dialled": (DialplanEnd(""), []),
}


@pytest.mark.parametrize(("end", "results"), ENDS.values(), ids=ENDS)
def test_each_attempt_counts_once_by_what_the_trunk_answered(end: DialplanEnd, results: list[tuple[str, str]]) -> None:
    assert attempt_results(end) == results


def test_every_final_sip_status_has_a_result() -> None:
    for code in range(300, 700):
        [(_, result)] = attempt_results(DialplanEnd("BUSY", "a", (failed("a", "BUSY", code),)))
        assert result == f"{code // 100}xx"


def test_calls_are_counted_by_disposition_trunk_and_time() -> None:
    tallies = CallTallies(["a"])
    tallies.count(
        [
            EndedCall(Disposition.ANSWERED, "a", ring_ms=1_500, answer_ms=4_000, overrun_ms=20),
            EndedCall(Disposition.BUSY, "a"),
            EndedCall(Disposition.NO_ANSWER, "removed", ring_ms=300),
            EndedCall(Disposition.EXPIRED),
        ]
    )
    assert {each: count for each, count in tallies.dispositions.items() if count} == dict.fromkeys(
        (Disposition.ANSWERED, Disposition.BUSY, Disposition.NO_ANSWER, Disposition.EXPIRED), 1
    )
    assert {trunk: tally.total for trunk, tally in tallies.post_dial_seconds.items()} == {"a": 1.5, "none": 0.3}
    assert (sum(tallies.answer_seconds.counts), tallies.answer_seconds.total, tallies.overrun_ms) == (1, 4.0, 20)


def test_requests_of_any_method_and_path_make_few_series() -> None:
    requests = RequestCounts()
    for number in range(1_000):
        requests.note(None, f"METHOD{number}", 404)
    requests.note("/bookings/{id}", "GET", 200)
    assert requests.counts == {("none", "other", "4xx"): 1_000, ("/bookings/{id}", "GET", "2xx"): 1}


def test_a_route_counts_by_what_asterisk_was_told() -> None:
    routes = RouteTallies()
    for decision in (None, UNKNOWN_NUMBER, NO_TRUNK, AskPin(Prompt.PIN)):
        routes.note(decision, 0.002)
    counts = {result: sum(tally.counts) for result, tally in routes.seconds.items()}
    assert counts == {each: each is not RouteResult.BRIDGED for each in RouteResult}


def test_commits_count_by_their_commands() -> None:
    storage = StorageTallies()
    for commands in (1, 1, 3, 256):
        storage.note_commit(commands, 0.002)
    sizes = storage.batch_commands()
    assert (sizes.counts, sizes.total) == ([2, 0, 1, 0, 0, 0, 0, 0, 1, 0], 261)


async def test_a_pause_of_the_event_loop_is_seen() -> None:
    lag, stop = LoopLag(), asyncio.Event()
    running = asyncio.create_task(lag.run(stop))
    await asyncio.sleep(0.02)
    time.sleep(0.4)  # noqa: ASYNC251  that is the pause
    await asyncio.sleep(0.02)
    stop.set()
    await running
    assert lag.seconds.total > 0.25
