"""Finds the telephone programs that `deploy/tools.sh phones` has fetched. .tools/phones.json holds their paths."""

import json
from dataclasses import dataclass
from pathlib import Path

from phones.errors import PhoneError

PROJECT_TOOLS = Path(__file__).resolve().parent.parent / ".tools"


@dataclass(frozen=True)
class Programs:
    """The paths of the programs and of baresip's modules."""

    sipp: Path
    baresip: Path
    baresip_modules_dir: Path

    @classmethod
    def find(cls, tools: Path = PROJECT_TOOLS) -> "Programs":
        """Reads TOOLS/phones.json. Raises PhoneError if the programs have not been fetched."""
        index = tools / "phones.json"
        try:
            paths = json.loads(index.read_text())
            programs = cls(
                sipp=tools / paths["sipp"],
                baresip=tools / paths["baresip"],
                baresip_modules_dir=tools / paths["baresip_modules_dir"],
            )
        except (OSError, ValueError, KeyError) as error:
            raise PhoneError(f"the telephone programs are missing ({error}): run deploy/tools.sh phones") from error
        return programs
