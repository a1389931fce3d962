"""An engine that stalls is ended, and no other is."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 30


@contextmanager
def program(how: str) -> Iterator[subprocess.Popen[str]]:
    """Watched, and about to do it."""
    command = [sys.executable, "-m", "tests.integration.watchdog_process", how]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
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


@pytest.mark.parametrize("how", ["works", "idles"])
def test_a_turning_event_loop_is_left_alone(how: str) -> None:
    with program(how) as process:
        assert process.communicate(timeout=PATIENCE_SECONDS) == ("done\n", "")
    assert process.returncode == 0


@pytest.mark.parametrize("how", ["works", "idles"])
def test_a_process_stopped_for_three_seconds_continues(how: str) -> None:
    with program(how) as process:
        process.send_signal(signal.SIGSTOP)
        time.sleep(3)
        process.send_signal(signal.SIGCONT)
        assert process.communicate(timeout=PATIENCE_SECONDS) == ("done\n", "")
    assert process.returncode == 0
