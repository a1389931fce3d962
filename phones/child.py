"""Ends a program that we started, by its process id and never by its name."""

import subprocess
from pathlib import Path


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
