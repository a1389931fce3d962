"""Gives programs of a test a wall clock of their own, which the test can change while they run."""

import json
from pathlib import Path

from phones.errors import PhoneError
from phones.programs import PROJECT_TOOLS


class WallClock:
    """The wall clock of programs that run with `environment`. Their monotonic clock stays the machine's."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set_by(0)

    def set_by(self, seconds: int) -> None:
        """Sets the clock to this many seconds ahead of the machine's (behind, if negative)."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.rename(self._file)  # atomic: each program reads the file whenever it reads the time

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # Otherwise threads that wait on a condition of the monotonic clock, as Python's do for its lock, can wait
            # for as long as the clock was set back: https://github.com/wolfcw/libfaketime/pull/503
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }


def _library(tools: Path = PROJECT_TOOLS) -> Path:
    """The path of libfaketime. Raises PhoneError if it was not fetched."""
    try:
        inside: str = json.loads((tools / "phones.json").read_text())["libfaketime"]
    except (OSError, ValueError, KeyError) as error:
        raise PhoneError(f"libfaketime is missing ({error}): run deploy/tools.sh phones") from error
    return (tools / inside).resolve()
