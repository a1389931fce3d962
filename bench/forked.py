"""What classic AGI costs: a process for each script of a call, started and answered as Asterisk does."""

import asyncio
import resource
import sys
from pathlib import Path
from statistics import median
from time import monotonic

from bench.servers import ROOT, SERVER_CORE, on_core
from bench.workload import lines_of_call


async def _script(lines: list[bytes], database: Path) -> bool:
    """Whether it let the call through, or had no say in it."""
    child = await asyncio.create_subprocess_exec(
        *on_core(SERVER_CORE),
        sys.executable,
        "-m",
        "bench.rivals.classic",
        str(database),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.writelines(lines)
    commands = []
    while command := await child.stdout.readline():
        commands.append(command)
        child.stdin.write(b"200 result=1\n")
    return await child.wait() == 0 and bool(commands)


def cpu_a_call(
    database: Path, services: list[str], bookings: list[str], token: str, *, rounds: int, calls: int
) -> tuple[float, float]:
    """Median of the rounds: microseconds of CPU a call, and how long a route took. Raises RuntimeError."""
    used, took = [], []
    for round_ in range(rounds):
        before = _children()
        for number in range(calls):
            route, *rest = lines_of_call(
                f"forked{round_}-{number}.1", number, services[number], bookings[number], token
            )
            began = monotonic()
            went_well = [asyncio.run(_script(route, database))]
            took.append((monotonic() - began) * 1e6)
            went_well += [asyncio.run(_script(lines, database)) for lines in rest]
            if not all(went_well):
                raise RuntimeError("classic AGI did not do what it should")
        used.append((_children() - before) * 1e6 / calls)
    return median(used), median(took)


def _children() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime
