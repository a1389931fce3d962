"""Where the telephone programs are: what `deploy/tools.sh phones` made, as .tools/phones.json tells."""

import json
from dataclasses import dataclass
from pathlib import Path

from phones.errors import PhoneError

PROJECT_TOOLS = Path(__file__).resolve().parent.parent / ".tools"


@dataclass(frozen=True)
class Programs:
    """Paths of the programs and of baresip's modules."""

    sipp: Path
    baresip: Path
    baresip_modules_dir: Path

    @classmethod
    def find(cls, tools: Path = PROJECT_TOOLS) -> "Programs":
        """Reads TOOLS/phones.json; raises PhoneError if the programs have not been made."""
        index = tools / "phones.json"
        try:
            paths = json.loads(index.read_text())
            programs = cls(
                sipp=tools / paths["sipp"],
                baresip=tools / paths["baresip"],
                baresip_modules_dir=tools / paths["baresip_modules_dir"],
            )
        except (OSError, ValueError, KeyError) as error:
            raise PhoneError(f"no telephones here ({error}): run deploy/tools.sh phones") from error
        return programs
