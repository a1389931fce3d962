"""The programs in C. They are compiled with the machine's own compiler when they are needed."""

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
LIBRARY = ["-O2", "-shared", "-fPIC"]
# Sources besides NAME.c.
PARTS = {"generator": ("manager.c", "reports.c", "workload.c")}
FLAGS = {
    "generator": ["-O2"],
    "limit": ["-O2"],
    "http_client": ["-O2"],
    "slow_sync": LIBRARY,
    "fine_clock": LIBRARY,
}


class NoCompiler(Exception):
    """There is no C compiler; the message names the packages to install."""


def built(name: str, directory: Path) -> Path:
    """Compiles NAME.c once and returns the program (or library). Raises NoCompiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise NoCompiler(
            "the bench's load generator is written in C, and this machine has no C compiler: apt install gcc libc6-dev"
        )
    made = directory / "native" / name
    made.parent.mkdir(exist_ok=True)
    if not made.exists():
        sources = [HERE / f"{name}.c", *(HERE / part for part in PARTS.get(name, ()))]
        subprocess.run([compiler, *FLAGS[name], "-Wall", "-o", made, *sources, "-ldl"], check=True)
    return made
