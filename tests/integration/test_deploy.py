"""Ctrl-C ends deploy/venv.sh and its child processes at once, without a traceback."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from engine.asterisk.config_files import ROOT

# A fake Python whose `venv` never finishes. It writes its process id.
PYTHON = """#!/bin/sh
case "$*" in
    *version_info*3*) echo 3.11.0 ;;
    "-m venv "*) sh -c 'echo $$ >"$0"; sleep 60' "{note}"; echo went on >&2 ;;
esac
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_first_start_stops_at_once(tmp_path: Path, number: signal.Signals, status: int) -> None:
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    note, python = tmp_path / "note", tmp_path / "python"
    python.write_text(PYTHON.format(note=note))
    python.chmod(0o755)
    started = subprocess.Popen(
        # A background shell ignores Ctrl-C, and its children inherit that.
        ["/usr/bin/env", "--default-signal=INT,TERM", "/bin/bash", str(tmp_path / "deploy" / "venv.sh")],
        env={**os.environ, "PYTHON": str(python)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 30
        while not (note.exists() and note.read_text().strip()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(started.pid, number)  # as a terminal sends it
        _, said = started.communicate(timeout=20)
    finally:
        started.kill()
        started.wait()
    assert started.returncode == status
    assert said.splitlines()[-1] == "  venv.sh: interrupted"
    assert "went on" not in said
    worker = int(note.read_text())
    deadline = time.monotonic() + 20
    while psutil.pid_exists(worker) and psutil.Process(worker).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "what it had started goes on"
        time.sleep(0.05)
