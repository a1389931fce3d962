"""Reserved ports belong to the process that asked for them, as long as it lives."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from phones import ports

TAKES = "from phones.ports import free_port_range as take; print([take(200) for _ in range(10)], flush=True); input()"


def test_ports_belong_to_a_process_until_it_ends() -> None:
    with subprocess.Popen([sys.executable, "-c", TAKES], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        theirs = [int(word) for word in other.stdout.readline().strip(b"[]\n").split(b",")]
        assert len({*theirs}) == 10
        assert not any(ports._claimed(range(first, first + 200)) for first in theirs)
        other.communicate(b"\n", timeout=30)
    assert all(ports._claimed(range(first, first + 200)) for first in theirs)
    for first in theirs:
        ports.give_back(first, 200)


def test_released_ports_can_be_claimed_by_another_process() -> None:
    first = ports.free_port_range(200)
    claims = [sys.executable, "-c", f"from phones import ports; print(ports._claimed(range({first}, {first + 200})))"]
    assert subprocess.run(claims, capture_output=True, check=True, timeout=30).stdout == b"False\n"
    ports.give_back(first, 200)
    assert subprocess.run(claims, capture_output=True, check=True, timeout=30).stdout == b"True\n"


@pytest.fixture
def nothing_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No port counts as taken in this test, whatever other tests have taken. No program uses what it takes."""
    claims = os.open(tmp_path / "claims", os.O_RDWR | os.O_CREAT)
    monkeypatch.setattr(ports, "_claims", lambda: claims)
    monkeypatch.setattr(ports, "_given", set())
    yield
    os.close(claims)


@pytest.mark.usefixtures("nothing_taken")
def test_there_are_single_ports_for_a_whole_run_of_the_tests() -> None:
    assert len({ports.free_port() for _ in range(2500)}) == 2500


@pytest.mark.usefixtures("nothing_taken")
def test_there_is_room_for_the_longest_range_beside_many_others() -> None:
    """A run of the tests has 4,800 ports in long ranges at most, and two runs may be on the machine."""
    taken = [(first, count) for count in [250, 800, 40, 500] * 6 for first in [ports.free_port_range(count)]]
    # Systems end in another order than they began, and others take their place.
    for first, count in taken[::3]:
        ports.give_back(first, count)
    taken = [each for place, each in enumerate(taken) if place % 3]
    taken += [(first, count) for count in [60, 800, 250] * 2 for first in [ports.free_port_range(count)]]
    taken += [(first, 2000) for first in [ports.free_port_range(2000), ports.free_port_range(2000)]]
    each_port = [port for first, count in taken for port in range(first, first + count)]
    assert len({*each_port}) == len(each_port)


def test_threads_get_different_ports() -> None:
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: ports.free_port_range(20), range(100)))
    for first in taken:
        ports.give_back(first, 20)
    assert len({*taken}) == len(taken)
