"""Starts a program before others, and ends one that we started, by its process id and never by its name."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

# What a call consists of must not wait for whatever else the machine does: a telephone that waits loses sound.
NICENESS = -10


def favoured(command: Sequence[str | Path]) -> list[str | Path]:
    """Returns a command that runs the program before others on a busy machine, if this process may decide that."""
    return ["nice", "-n", str(NICENESS), *command] if os.geteuid() == 0 else [*command]


def stop(process: subprocess.Popen[bytes], patience: float) -> None:
    """Sends SIGTERM, and SIGKILL after `patience` seconds. Does nothing if the process has ended."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def tail(log: Path, size: int = 1500) -> str:
    """Returns the end of a log file; "" if the file does not exist."""
    try:
        return log.read_bytes()[-size:].decode(errors="replace")
    except OSError:
        return ""
