"""Measures classic AGI: one process for each script of a call, started and answered as Asterisk does it."""

import asyncio
import resource
import sys
from pathlib import Path
from statistics import median
from time import monotonic

from bench.servers import ROOT, SERVER_CORE, on_cores
from bench.workload import lines_of_call


async def _script(lines: list[bytes], database: Path) -> bool:
    """Runs one script and answers its commands. Returns whether it succeeded and sent a command."""
    child = await asyncio.create_subprocess_exec(
        *on_cores(SERVER_CORE),
        sys.executable,
        "-m",
        "bench.other_designs.classic_agi",
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
    """Returns medians of the rounds: CPU a call and duration of the route script, both in microseconds.

    Raises:
        RuntimeError: A script failed.
    """
    used, took = [], []
    for round_ in range(rounds):
        before = _children()
        for number in range(calls):
            route, *rest = lines_of_call(
                f"forked{round_}-{number}.1", number, services[number], bookings[number], token
            )
            began = monotonic()
            succeeded = [asyncio.run(_script(route, database))]
            took.append((monotonic() - began) * 1e6)
            succeeded += [asyncio.run(_script(lines, database)) for lines in rest]
            if not all(succeeded):
                raise RuntimeError("a classic AGI script failed or sent no command")
        used.append((_children() - before) * 1e6 / calls)
    return median(used), median(took)


def _children() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime
