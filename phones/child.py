"""Ends a program we started: by its own process id, never by name."""

import subprocess
from pathlib import Path


def stop(process: subprocess.Popen[bytes], patience: float) -> None:
    """SIGTERM, then SIGKILL after `patience` seconds. Does nothing to a process that has ended."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def tail(log: Path, size: int = 1500) -> str:
    """The end of a log file, "" if there is none."""
    try:
        return log.read_bytes()[-size:].decode(errors="replace")
    except OSError:
        return ""
