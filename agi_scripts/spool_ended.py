"""Classic AGI script: writes the end of a call to the end spool, a directory that the engine takes in later.

Asterisk starts it when the engine did not acknowledge `agi://…/ended`. Each call is a process of its own, so this
module imports only pyst2, the standard library and one small module of ours: it runs in 40 ms instead of 300.

    spool_ended.py DIRECTORY UNIQUE-ID ANSWERED-MS DIAL-STATUS

The file appears completely and durably, or not at all. Exit status: 0 when it is written, 2 for unusable arguments.
"""

import json
import os
import re
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from asterisk.agi import AGI

from engine.runtime.atomic_file import write_atomically

# Asterisk writes the environment at once. If it is cut short, pyst2 would wait for the rest for ever.
TIMEOUT_SECONDS = 5
CALL_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
MILLISECONDS = re.compile(r"(-?[0-9]{1,12})?")
DIAL_STATUS = re.compile(r"[A-Z]{0,32}")


def main(arguments: list[str]) -> int:
    """Runs the script.

    Args:
        arguments: The command line without the program's name; see the top of this file.

    Returns:
        The exit status.

    Raises:
        OSError: The file could not be written.
    """
    signal.alarm(TIMEOUT_SECONDS)
    # Asterisk sends SIGHUP when it is done with the channel, which may be now.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    directory, call_id, answered_ms, dial_status = [*arguments, "", "", ""][:4]
    if not (CALL_ID.fullmatch(call_id) and MILLISECONDS.fullmatch(answered_ms) and DIAL_STATUS.fullmatch(dial_status)):
        return 2
    write_end(Path(directory), call_id, int(answered_ms or 0), dial_status)
    # The conversation with Asterisk comes last: if it fails, the end is in the spool all the same.
    signal.signal(signal.SIGALRM, lambda *_: sys.exit(0))
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, suppress(Exception):
        AGI(stderr=nowhere)  # reads Asterisk's environment; pyst2 prints each line of it to `stderr`
    return 0


def write_end(directory: Path, call_id: str, answered_ms: int, dial_status: str) -> None:
    """Writes the end of one call durably.

    Raises:
        OSError: The file could not be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    # The same two clocks as in engine/runtime/clock.py.
    now, ticks = time.time_ns() // 1_000_000, time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    end = {"callId": call_id, "answeredMs": answered_ms, "dialStatus": dial_status, "now": now, "ticks": ticks}
    write_atomically(directory / f"{call_id}.json", json.dumps(end), sync_directory=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
