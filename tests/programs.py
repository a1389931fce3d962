"""Programs that tests start, and that never outlive them."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import AnyStr

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
