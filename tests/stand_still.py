"""Runs tests while all their processes stand still again and again, as on a machine that serves others in between.

    .venv/bin/python -m tests.stand_still --longest 1.5 --every 4 --seed 3 -- -n 4 --dist loadfile tests/e2e

A test that fails here and not elsewhere has a limit of time that a busy machine breaks. The kernel's freezer holds the
processes: it needs root, and Linux with control groups of either version. The words after `--` are pytest's.
"""

import argparse
import os
import random
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Freezer:
    """A control group of processes, whose children belong to it as well."""

    group: Path
    state: str
    frozen: str
    thawed: str

    def take(self, pid: int) -> None:
        (self.group / "cgroup.procs").write_text(str(pid))

    def freeze(self) -> None:
        (self.group / self.state).write_text(self.frozen)

    def thaw(self) -> None:
        (self.group / self.state).write_text(self.thawed)


def freezer(name: str) -> Freezer:
    """Makes a group. Raises OSError without the right to do so."""
    first_version = GROUPS / "freezer"
    if first_version.is_dir():
        made = Freezer(first_version / name, "freezer.state", "FROZEN", "THAWED")
    else:
        made = Freezer(GROUPS / name, "cgroup.freeze", "1", "0")
    made.group.mkdir()
    return made


def stand_still(group: Freezer, over: threading.Event, wanted: argparse.Namespace) -> int:
    """Freezes the group again and again until `over` is set. Returns how often."""
    chance, times = random.Random(wanted.seed), 0
    while not over.wait(chance.uniform(0, 2 * wanted.every)):
        group.freeze()
        try:
            time.sleep(chance.uniform(0.2, 1) * wanted.longest)
        finally:
            group.thaw()
        times += 1
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--longest", type=float, default=1.5, help="seconds of the longest standstill")
    parser.add_argument("--every", type=float, default=4.0, help="seconds between two, on average")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("pytest", nargs="*", help="arguments of pytest, after --")
    wanted = parser.parse_args()
    group, over = freezer(f"stand-still-{os.getpid()}"), threading.Event()
    try:
        command = [sys.executable, "-m", "pytest", *wanted.pytest]
        with subprocess.Popen(command, preexec_fn=lambda: group.take(os.getpid())) as tests:  # noqa: PLW1509  no threads yet
            freezing = threading.Thread(target=lambda: print(stand_still(group, over, wanted), "standstills"))  # noqa: T201
            freezing.start()
            try:
                return tests.wait()
            finally:
                over.set()
                freezing.join()
    finally:
        group.group.rmdir()


if __name__ == "__main__":
    sys.exit(main())
