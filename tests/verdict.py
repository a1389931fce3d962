"""What a trial of the whole system says at its end: figures, failures, and how to repeat it."""

import sys
import time
from collections.abc import Callable, Iterable
from typing import Protocol

ShowProgress = Callable[[str], None]


class Report(Protocol):
    """What a trial has found."""

    @property
    def failures(self) -> list[str]:
        """What went wrong."""

    def lines(self) -> Iterable[str]:
        """The figures."""


def carried_out(trial: Callable[[ShowProgress], Report], seed: int, repeat: str) -> int:
    """Carries a trial out, with its progress on the terminal.

    Args:
        trial: What it does; it returns its report.
        seed: What drew its steps.
        repeat: The command that repeats it.

    Returns:
        The exit status: 0 if nothing went wrong, else 1.
    """
    began = time.monotonic()

    def show_progress(line: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:6.0f} s  {line}\n")
        sys.stdout.flush()

    show_progress(f"seed {seed}")
    report = trial(show_progress)
    failures = report.failures
    sys.stdout.write("\n".join(["", *report.lines(), "", *failures]))
    verdict = f"{len(failures)} failures" if failures else "Database and telephones agree on every call"
    sys.stdout.write(f"\n{verdict}. Repeat with: {repeat}\n")
    return 1 if failures else 0
