"""Shell completion is installed and used in a real shell."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.asterisk.config_files import ROOT

PROGRAM = Path(sys.executable).parent / "rented-numbers"


def environment(home: Path, **more: str) -> dict[str, str]:
    path = f"{PROGRAM.parent}:{os.environ['PATH']}"
    return {**os.environ, "HOME": str(home), "PYTHONPATH": str(ROOT), "PATH": path, **more}


def completed(home: Path, typed: str) -> list[str]:
    """Return the completions for what was typed."""
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split(" ")) - 1)}
    told = environment(home, _RENTED_NUMBERS_COMPLETE="complete_bash", **words)
    return subprocess.run([PROGRAM], env=told, capture_output=True, text=True, timeout=60, check=True).stdout.split()


def test_completion_installs_itself_into_the_current_shell(tmp_path: Path) -> None:
    command = ["/bin/bash", "-c", "rented-numbers --install-completion; exit $?"]
    done = subprocess.run(
        command, env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    [script] = (tmp_path / ".bash_completions").iterdir()
    assert str(script) in (tmp_path / ".bashrc").read_text()
    loaded = subprocess.run(
        ["/bin/bash", "-c", f"source {script} && complete -p rented-numbers"], capture_output=True, check=False
    )
    assert loaded.returncode == 0


@pytest.mark.parametrize(
    ("typed", "offered"), [("rented-numbers book", "bookings"), ("rented-numbers bookings sh", "show")]
)
def test_commands_are_completed(tmp_path: Path, typed: str, offered: str) -> None:
    assert completed(tmp_path, typed) == [offered]
