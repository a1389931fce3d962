"""The former design, in which a call makes three FastAGI requests: its last commit, with its engine and dialplan."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.asterisk.full_system import Place
from bench.servers import CORES, ROOT

COMMIT = "b9d1fb3c6f9169586f5a8c9626e6921b67282e4f"
HOLD = Path(__file__).with_name("hold_system.py")
STOP_SECONDS = 60.0


class NoFormerDesign(Exception):
    """There is no git repository with the former design's commit."""


@contextmanager
def former_system(directory: Path) -> Iterator[Place]:
    """Starts the former design's system.

    Raises:
        NoFormerDesign: This is no git repository, or a shallow one.
    """
    with _tree(directory / "former-tree") as tree:
        # On all cores, so that it chooses the servers' core itself as this process does.
        command: list[str | Path] = [
            "taskset",
            "--cpu-list",
            ",".join(map(str, CORES)),
            sys.executable,
            "-P",
            HOLD,
            directory / "former",
        ]
        (directory / "former").mkdir()
        holding = subprocess.Popen(
            command,
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert holding.stdin is not None
        assert holding.stdout is not None
        try:
            answer = holding.stdout.readline()
            if not answer:
                raise RuntimeError("the former design's system did not start")
            yield Place(**json.loads(answer))
        finally:
            holding.stdin.close()
            holding.wait(STOP_SECONDS)
            holding.stdout.close()


@contextmanager
def _tree(place: Path) -> Iterator[Path]:
    """Checks the commit out into a worktree of its own, which uses the programs that this tree has fetched."""
    git = ["git", "-C", str(ROOT)]
    made = subprocess.run([*git, "worktree", "add", "--quiet", "--detach", place, COMMIT], check=False)
    if made.returncode != 0:
        raise NoFormerDesign
    try:
        (place / ".tools").symlink_to(ROOT / ".tools")
        yield place
    finally:
        subprocess.run([*git, "worktree", "remove", "--force", place], check=False)
