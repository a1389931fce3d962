"""A crash leaves no copy of a process's memory, which holds hidden numbers."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.asterisk.config_files import ROOT

CRASH = """\
import os, resource, signal
_, hard = resource.getrlimit(resource.RLIMIT_CORE)
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
{forbid}
os.kill(os.getpid(), signal.SIGSEGV)
"""
FORBID = "import engine.cli; engine.cli._forbid_core_dumps()"


def dumps_core(directory: Path, forbid: str) -> bool:
    process = subprocess.Popen(
        [sys.executable, "-c", CRASH.format(forbid=forbid)], cwd=directory, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    _, status = os.waitpid(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == -signal.SIGSEGV
    files = list(directory.iterdir())
    for file in files:
        file.unlink()
    return os.WCOREDUMP(status) or bool(files)


def test_a_crash_leaves_no_core_dump(tmp_path: Path) -> None:
    assert not dumps_core(tmp_path, FORBID)
    if not dumps_core(tmp_path, ""):
        pytest.skip("this machine lets no process dump core, so the test shows nothing")
