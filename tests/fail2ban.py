"""Runs the real `fail2ban-regex`, which deploy/tools.sh brings, with the filter that we ship."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / ".tools" / "bin" / "fail2ban-regex"
FILES = ROOT / "deploy" / "fail2ban"
FILTER = FILES / "filter.d" / "rented-numbers.conf"


def banned_by(log: Path, *, out: str = "ip") -> list[str]:
    """Returns the address of each line that counts as a failure, in order. `out`: what is printed of each."""
    done = subprocess.run(
        [PROGRAM, "--out", out, "--encoding", "utf-8", str(log), str(FILTER)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0 or not done.stdout, done.stderr
    return done.stdout.split("\n")[:-1]


def banned_of(lines: Iterable[bytes], directory: Path) -> list[str]:
    """Does the same with lines of a log, given without their line ends."""
    log = directory / "security.log"
    log.write_bytes(b"".join(line + b"\n" for line in lines))
    return banned_by(log)
