"""Gives a program priority over others, and ends one that we started, by its process id and never by its name."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

# A telephone that has to wait for the processor loses sound.
NICENESS = -10


def favoured(command: Sequence[str | Path]) -> list[str]:
    """Returns a command that runs a program with priority over others, if this process may give it that."""
    words = [str(word) for word in command]
    return ["nice", "-n", str(NICENESS), *words] if os.geteuid() == 0 else words


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
