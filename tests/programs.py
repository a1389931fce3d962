"""Programs that tests start, and that never outlive them."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, AnyStr

# More than any of our programs takes to stop, on a busy machine too.
STOP_SECONDS = 30


@contextmanager
def ended(process: subprocess.Popen[AnyStr]) -> Iterator[subprocess.Popen[AnyStr]]:
    """Waits for a program's end after the block, and kills it if that does not come or the block fails.

    `with Popen(…)` alone waits for ever: a program that hangs would stop the whole run of the tests, because the
    exception by which a test's time-out ends it is what makes `Popen` wait.
    """
    with process:
        try:
            yield process
            if process.stdin is not None:
                process.stdin.close()  # a shell waits for more commands until then
            process.wait(STOP_SECONDS)
        finally:
            process.kill()


@asynccontextmanager
async def crowd(module: str, *words: str, announces_itself: bool = False) -> AsyncIterator[list[dict[str, Any]]]:
    """Runs a module that plays many peers during the block. Its report is in the list after the block.

    Args:
        module: The module's name.
        words: Its arguments.
        announces_itself: Whether it prints an empty line when all its peers are there; the block begins then.
    """
    report: list[dict[str, Any]] = []
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, *words, stdout=asyncio.subprocess.PIPE)
    try:
        if announces_itself:
            assert process.stdout
            assert await process.stdout.readline() == b"\n"
        yield report
        out, _ = await process.communicate()
        report.append(json.loads(out))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
