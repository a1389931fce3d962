"""The watchdog ends a process whose event loop stalls, and no other process."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.programs import ended

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 30


@contextmanager
def program(how: str) -> Iterator[subprocess.Popen[str]]:
    """A watched program that has started and is about to stall, work or idle."""
    command = [sys.executable, "-m", "tests.integration.watchdog_process", how]
    pipe = subprocess.PIPE
    with ended(subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            yield process
        finally:
            process.kill()


def test_a_stalled_event_loop_ends_its_process_within_two_and_a_half_seconds() -> None:
    with program("stalls") as process:
        began = time.monotonic()
        assert process.wait(PATIENCE_SECONDS) == -signal.SIGKILL
        assert 1.0 < time.monotonic() - began <= 8
        assert process.stderr is not None
        assert process.stderr.read() == "the event loop has stalled: killing the process\n"


@pytest.mark.parametrize("stopped_seconds", [0, 3])
def test_a_turning_event_loop_is_left_alone_even_after_its_process_was_stopped(stopped_seconds: int) -> None:
    with program("works") as works, program("idles") as idles:
        if stopped_seconds:
            for process in (works, idles):
                process.send_signal(signal.SIGSTOP)
            time.sleep(stopped_seconds)
            for process in (works, idles):
                process.send_signal(signal.SIGCONT)
        for process in (works, idles):
            assert process.communicate(timeout=PATIENCE_SECONDS) == ("done\n", "")
            assert process.returncode == 0
