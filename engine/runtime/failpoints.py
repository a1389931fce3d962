"""Places where a test can have the process killed as by `kill -9`.

Armed by the environment alone, `RENTED_NUMBERS_TEST_FAILPOINT=name` or `name:3` for its third time, and read once:
in a process that was started without it, `hit` does nothing. Points are named for what has just been done.
"""

import os
import signal
from itertools import count

VARIABLE = "RENTED_NUMBERS_TEST_FAILPOINT"

_name, _, _times = os.environ.get(VARIABLE, "").partition(":")
_hits = count(1)


def hit(name: str) -> None:
    """Die here, if this is the point that was asked for."""
    if _name and name == _name and next(_hits) >= int(_times or 1):
        os.kill(os.getpid(), signal.SIGKILL)
