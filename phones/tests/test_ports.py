"""Reserved ports belong to the process that asked for them, as long as it lives."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

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


def test_there_are_single_ports_for_a_whole_run_of_the_tests() -> None:
    taken = [ports.free_port() for _ in range(2000)]
    for port in taken:
        ports.give_back(port)
    assert len({*taken}) == 2000


def test_threads_get_different_ports() -> None:
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: ports.free_port_range(20), range(100)))
    for first in taken:
        ports.give_back(first, 20)
    assert len({*taken}) == len(taken)
