"""Tells which Python ran: a build without profile-guided optimisation takes up to half as much CPU again."""

import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path


def describe() -> str:
    """One sentence about the interpreter of the measured servers."""
    program = Path(sys.executable).resolve()
    compiler = platform.python_compiler()
    return f"Python {platform.python_version()} ({program}, {compiler}): {_build(program)}"


def _build(program: Path) -> str:
    options = sysconfig.get_config_var("CONFIG_ARGS") or ""
    if "--enable-optimizations" in options:
        return "built with --enable-optimizations"
    package = _package_of(program)
    if package is not None:
        # Debian's rules optimise with a profile themselves, so the option is missing there.
        return f"the distribution's own build, package {package}"
    return "NOT optimised: built without --enable-optimizations; the users' Python is faster"


def _package_of(program: Path) -> str | None:
    """The Debian package that a program belongs to; None if it belongs to none."""
    if shutil.which("dpkg-query") is None:
        return None
    done = subprocess.run(["dpkg-query", "--search", program], check=False, capture_output=True, text=True)
    return done.stdout.split(":")[0] if done.returncode == 0 else None
