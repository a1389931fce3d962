"""A wall clock of their own for programs that a test starts, which it sets forward and back while they run."""

import json
from pathlib import Path

from phones.errors import PhoneError
from phones.programs import PROJECT_TOOLS


class WallClock:
    """Programs with `environment` go by the machine's clock until `set_by` says otherwise; their ticks stay true."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set_by(0)

    def set_by(self, seconds: int) -> None:
        """From now on it is this far ahead of the machine's (behind, when negative)."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.rename(self._file)  # at once for all of them: each reads the file whenever it asks for the time

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


def _library(tools: Path = PROJECT_TOOLS) -> Path:
    """Raises PhoneError when it was not fetched."""
    try:
        inside: str = json.loads((tools / "phones.json").read_text())["libfaketime"]
    except (OSError, ValueError, KeyError) as error:
        raise PhoneError(f"no libfaketime here ({error}): run deploy/tools.sh phones") from error
    return (tools / inside).resolve()
