"""The judge of a soak finds what grows, and nothing else."""

import random
from collections.abc import Callable

import pytest

from engine.storage.checkpoints import Pace
from tests.soak.judge import BOUNDS, ROWS, faults, trends
from tests.soak.watch import Sample

CALLS = 18_000
SAMPLES = 240
SECONDS = 3600.0
# What is held under load, and by how much it fluctuates.
LEVELS = {
    "resident bytes": (80e6, 1e5),
    "pieces of memory": (400_000, 300),
    "tasks": (20, 3),
    "threads": (9, 0),
    "open files and sockets": (27, 3),
    "bytes of WAL": (4_200_000, 0),
    "calls up": (25, 4),
    "callbacks pending": (2, 2),
    "rows of cdrs": (17_100, 25),
    "rows of bookings, less what was made": (1, 0),
}
QUIET = {"calls up", "callbacks pending"}

Leak = Callable[[float], float]  # how much there is in excess after that part of the time


def found(**leaks: Leak) -> list[str]:
    """Returns the findings of an hour in which these series (named with _ for blanks) leak, at rest as well."""
    chance = random.Random(7)
    by_name = {name.replace("_", " "): leak for name, leak in leaks.items()}

    def sample(part: float, *, loaded: bool) -> Sample:
        values = {}
        for name, (level, noise) in LEVELS.items():
            base = level + chance.uniform(-noise, noise) if loaded else 0 if name in QUIET else level
            values[name] = base + (by_name[name](part) if name in by_name else 0)
        return Sample(part * SECONDS, values)

    samples = [sample(number / SAMPLES, loaded=True) for number in range(SAMPLES)]
    return faults(trends(samples, (sample(0, loaded=False), sample(1, loaded=False))), CALLS)


def test_a_value_that_only_fluctuates_is_not_a_leak() -> None:
    assert found() == []


def test_a_falling_value_is_not_a_leak() -> None:
    assert found(resident_bytes=lambda part: -2e7 * part, tasks=lambda part: -5 * part) == []


@pytest.mark.parametrize(
    ("name", "a_call"),
    [
        ("pieces_of_memory", 1.0),  # a list that grows by an object with each call
        ("resident_bytes", 2000),
        ("tasks", 1 / 500),  # one call of five hundred leaves a task that never ends
        ("open_files_and_sockets", 1 / 500),
        ("threads", 1 / 5000),
        ("calls_up", 1 / 500),
        ("callbacks_pending", 1 / 500),
        ("rows_of_cdrs", 1 / 20),
    ],
)
def test_what_calls_leave_behind_is_found_under_load_and_at_rest(name: str, a_call: float) -> None:
    complaints = found(**{name: lambda part: part * CALLS * a_call})
    named = name.replace("_", " ")
    assert complaints
    assert all(each.startswith(f"{named}: ") for each in complaints)
    bound = BOUNDS.get(named, ROWS)
    assert any("under load" in each for each in complaints) == (CALLS * a_call > bound.under_load(CALLS))
    assert any("at rest" in each for each in complaints) == (bound.rest is not None)


def test_a_rotated_log_is_not_a_leak_but_an_endless_one_is() -> None:
    long = Pace().long * 4096
    assert found(bytes_of_WAL=lambda part: long * (part * 1.9 % 1)) == []
    [complaint] = found(bytes_of_WAL=lambda part: 2.5 * long * part)
    assert "reached" in complaint


def test_a_leak_that_starts_late_is_found() -> None:
    [under_load, at_rest] = found(tasks=lambda part: 40 if part > 0.85 else 0)
    assert "under load" in under_load
    assert "at rest" in at_rest


def test_one_task_that_stays_is_found_at_rest() -> None:
    assert found(tasks=lambda part: 1 if part == 1 else 0) == [
        "tasks: at rest 20 before and 21 after, limit of growth 0"
    ]


def test_a_call_that_holds_its_lease_at_rest_is_found_even_if_it_did_so_before() -> None:
    assert found(calls_up=lambda _: 1) == ["calls up: 1 remain at rest"]


def test_a_temporary_peak_is_not_a_leak() -> None:
    assert found(tasks=lambda part: 300 if 0.5 < part < 0.52 else 0) == []


def test_rows_of_unlisted_tables_are_watched() -> None:
    assert "rows of cdrs" not in BOUNDS
    assert len(found(rows_of_cdrs=lambda part: 2000 * part)) == 1
