"""Classic AGI: keeps the end of a call that found no engine, as one file that the engine takes in later.

Asterisk starts it only when `agi://…/ended` was not acknowledged. It imports pyst2 and the standard library alone,
because it is a process of its own for each call: 40 ms instead of 300.

    journal_ended.py DIRECTORY UNIQUE-ID ANSWERED-MS DIAL-STATUS

The file appears whole and on the disk, or not at all. Exit status 0 once it does.
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

# Asterisk writes the environment at once; pyst2 would wait for the rest of it for ever.
PATIENCE_SECONDS = 5
CALL_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
MILLISECONDS = re.compile(r"(-?[0-9]{1,12})?")
DIAL_STATUS = re.compile(r"[A-Z]{0,32}")


def main(arguments: list[str]) -> int:
    signal.alarm(PATIENCE_SECONDS)
    # Asterisk sends one when it has done with the channel, and that may be now.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    directory, call_id, answered_ms, dial_status = [*arguments, "", "", ""][:4]
    if not (CALL_ID.fullmatch(call_id) and MILLISECONDS.fullmatch(answered_ms) and DIAL_STATUS.fullmatch(dial_status)):
        return 2
    keep(Path(directory), call_id, int(answered_ms or 0), dial_status)
    # Only now: whatever becomes of the conversation with Asterisk, the end is kept.
    signal.signal(signal.SIGALRM, lambda *_: sys.exit(0))
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, suppress(Exception):
        AGI(stderr=nowhere)  # takes in the environment that Asterisk writes, and would print every line of it
    return 0


def keep(directory: Path, call_id: str, answered_ms: int, dial_status: str) -> None:
    """Write the file, durably. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    # The two clocks of engine/runtime/clock.py.
    now, ticks = time.time_ns() // 1_000_000, time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    end = {"callId": call_id, "answeredMs": answered_ms, "dialStatus": dial_status, "now": now, "ticks": ticks}
    write_atomically(directory / f"{call_id}.json", json.dumps(end), sync_directory=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
