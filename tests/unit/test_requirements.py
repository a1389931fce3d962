"""The pinned packages install on the oldest Python that the README promises: Debian 12's."""

import importlib.metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

DEBIAN_12 = "3.11.2"
PINNED = Path(__file__).parents[2] / "deploy" / "requirements.txt"


def test_every_pinned_package_accepts_the_python_of_debian_12() -> None:
    names = [Requirement(line).name for line in PINNED.read_text().splitlines() if line and not line.startswith("#")]
    needs = {name: str(importlib.metadata.metadata(name).json.get("requires_python", "")) for name in names}
    assert len(needs) > 50
    assert {name: wanted for name, wanted in needs.items() if DEBIAN_12 not in SpecifierSet(wanted)} == {}
