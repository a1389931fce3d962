"""Places where a test can have the process killed, as by `kill -9`.

The environment variable RENTED_NUMBERS_TEST_FAILPOINT arms one of them: `name`, or `name:3` for its third time. It is
read once; in a process that was started without it, `hit` does nothing. A failpoint is named for the step just done.
"""

import os
import signal
from itertools import count

VARIABLE = "RENTED_NUMBERS_TEST_FAILPOINT"

_name, _, _times = os.environ.get(VARIABLE, "").partition(":")
_hits = count(1)

# Whether any failpoint is armed, for places that are passed often.
ARMED = bool(_name)


def hit(name: str) -> None:
    """Kills the process if this failpoint is armed and its turn has come."""
    if ARMED and name == _name and next(_hits) >= int(_times or 1):
        os.kill(os.getpid(), signal.SIGKILL)
