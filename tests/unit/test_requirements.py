"""Every package is pinned with hashes, fits what the project asks for, and the oldest Python: Debian 12's."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

DEBIAN_12 = "3.11.2"
ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def pins(name: str) -> dict[str, Requirement]:
    """The pins of a file, by normalised name. Every line that is no comment must be a pin with its hashes."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / name).read_text(), flags=re.MULTILINE)
    found = {}
    for pin in re.sub(r" *\\\n", "", text).splitlines():
        wanted, *hashes = re.split(r" +--hash=", pin)
        assert hashes, f"{wanted} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes), wanted
        requirement = Requirement(wanted)
        assert re.fullmatch(r"==[0-9.]+", str(requirement.specifier)), wanted
        found[normalised(requirement.name)] = requirement
    return found


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def asked_for() -> dict[str, list[str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    mains = project["project"]
    needed = mains["dependencies"]
    ours = [*needed, *mains["optional-dependencies"]["dev"], *project["build-system"]["requires"]]
    clients = [line for line in (DEPLOY / "clients.in").read_text().splitlines() if not line.startswith("#")]
    return {"requirements.txt": ours, "runtime.txt": needed, "clients.txt": clients}


@pytest.mark.parametrize("name", ["requirements.txt", "runtime.txt", "clients.txt"])
def test_what_the_project_asks_for_is_pinned_with_hashes(name: str) -> None:
    pinned = pins(name)
    assert len(pinned) > 20
    for wanted in map(Requirement, asked_for()[name]):
        release = str(pinned[normalised(wanted.name)].specifier).removeprefix("==")
        assert release in wanted.specifier, f"{wanted}: run make pins"


def test_what_is_shipped_is_what_the_tests_run_with() -> None:
    tested = pins("requirements.txt")
    assert {name: pin for name, pin in pins("runtime.txt").items() if tested[name].specifier != pin.specifier} == {}


def test_every_pinned_package_accepts_the_python_of_debian_12() -> None:
    environment = {"python_full_version": DEBIAN_12, "python_version": "3.11"}  # the rest is that of this machine
    pinned = [pin for pin in pins("requirements.txt").values() if not pin.marker or pin.marker.evaluate(environment)]
    needs = {pin.name: str(importlib.metadata.metadata(pin.name).json.get("requires_python", "")) for pin in pinned}
    assert len(needs) > 50
    assert {name: wanted for name, wanted in needs.items() if DEBIAN_12 not in SpecifierSet(wanted)} == {}
