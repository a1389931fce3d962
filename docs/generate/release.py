"""`python -m docs.generate.release DIR` writes a release's notes and its list of parts (SBOM, CycloneDX) into DIR.

The parts are the Python packages of the environment from which the Debian package is made, and the files of others that
lie in our own packages, each in a directory with a file VENDORED.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".tools" / "deb-base" / "bin" / "python3"
SHIPPED = ("engine", "api", "agi_scripts")
# The first lines of a file VENDORED, one a part: name and version of the npm package, its license, where it is from.
VENDORED = re.compile(r"^(?P<name>\S+) (?P<version>\S+), (?P<license>[^,]+), (?P<url>https://\S+): ", re.MULTILINE)


def version() -> str:
    """Returns the version of this checkout. pyproject.toml is the one place that has it."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def notes(changelog: str, released: str) -> str:
    """Returns what the changelog says of a version, or of what is unreleased for a development version."""
    sections: dict[str, str] = dict(re.findall(r"(?ms)^## (\S+)[^\n]*\n(.*?)(?=^## |\Z)", changelog))
    section = "Unreleased" if ".dev" in released else released
    if section not in sections:
        raise SystemExit(f"CHANGELOG.md has no section {section}")
    return f"# Rented Numbers {released}\n\n{sections[section].strip()}\n"


def with_vendored(bom: dict[str, Any], root: Path = ROOT) -> dict[str, Any]:
    """Adds the vendored parts to an SBOM, as parts that the program needs."""
    parts = sorted(_vendored(root), key=lambda part: str(part["bom-ref"]))
    ours = bom["metadata"]["component"]["bom-ref"]
    for dependency in bom["dependencies"]:
        if dependency["ref"] == ours:
            dependency["dependsOn"] = sorted([*dependency.get("dependsOn", []), *(part["bom-ref"] for part in parts)])
    return bom | {"components": bom["components"] + parts}


def _vendored(root: Path) -> Iterator[dict[str, Any]]:
    for path in (found for package in SHIPPED for found in (root / package).rglob("VENDORED")):
        parts = [*VENDORED.finditer(path.read_text())]
        if not parts:
            raise SystemExit(f"the first line of {path} is not NAME VERSION, LICENSE, URL: …")
        yield from map(_component, parts)


def _component(part: re.Match[str]) -> dict[str, Any]:
    purl = f"pkg:npm/{quote(part['name'])}@{part['version']}"
    return {
        "bom-ref": purl,
        "type": "library",
        "name": part["name"],
        "version": part["version"],
        "licenses": [{"license": {"name": part["license"]}}],
        "purl": purl,
        "externalReferences": [{"type": "website", "url": part["url"]}],
    }


def sbom() -> str:
    """Returns the SBOM as JSON that its schema allows."""
    command = ["environment", "--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", str(ENVIRONMENT)]
    done = subprocess.run(  # noqa: S603  our own arguments
        [sys.executable, "-m", "cyclonedx_py", *command], stdout=subprocess.PIPE, text=True, check=True
    )
    text = json.dumps(with_vendored(json.loads(done.stdout)), indent=2) + "\n"
    if fault := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise SystemExit(f"the SBOM is not valid: {fault}")
    return text


def main() -> None:
    """Writes both into the directory that the command line names."""
    directory, released = Path(sys.argv[1]), version()
    (directory / f"rented-numbers-{released}.cdx.json").write_text(sbom())
    (directory / "RELEASE_NOTES.md").write_text(notes((ROOT / "CHANGELOG.md").read_text(), released))


if __name__ == "__main__":
    main()
