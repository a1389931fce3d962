"""deploy/venv.sh installs only the files whose SHA-256 it has, and fetches nothing to build the project."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from engine.asterisk.config_files import ROOT

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
# A build back-end that makes an empty editable wheel, so that the test needs no package index.
BACKEND = f"""\
import zipfile

def build_editable(directory, config_settings=None, metadata_directory=None):
    name = "project-1.0-py3-none-any.whl"
    with zipfile.ZipFile(directory + "/" + name, "w") as wheel:
        wheel.writestr("project-1.0.dist-info/METADATA", {METADATA.format(name="project", version="1.0")!r})
        wheel.writestr("project-1.0.dist-info/WHEEL", {WHEEL!r})
        wheel.writestr("project-1.0.dist-info/RECORD", "")
    return name
"""
WRONG = "0" * 64
# What it requires exists nowhere: a build that fetches it fails.
PROJECT = """\
[build-system]
requires = ["fetched-from-nowhere"]
build-backend = "pinned"
[project]
name = "project"
version = "1.0"
"""


def a_wheel(directory: Path, version: str) -> str:
    """Writes a wheel with the build back-end and returns its SHA-256."""
    path = directory / f"pinned-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("pinned.py", f"VERSION = {version!r}\n{BACKEND}")
        wheel.writestr(f"pinned-{version}.dist-info/METADATA", METADATA.format(name="pinned", version=version))
        wheel.writestr(f"pinned-{version}.dist-info/WHEEL", WHEEL)
        # Without hashes, as pip does not read them.
        names = ("pinned.py", *(f"pinned-{version}.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD")))
        wheel.writestr(f"pinned-{version}.dist-info/RECORD", "".join(f"{name},,\n" for name in names))
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Project:
    """A project with deploy/venv.sh, whose package index is a directory with two releases of one package."""

    def __init__(self, directory: Path) -> None:
        self.requirements = directory / "deploy" / "requirements.txt"
        self.stamp = directory / ".venv" / ".made"
        self._directory = directory
        self.requirements.parent.mkdir()
        shutil.copy(ROOT / "deploy" / "venv.sh", self.requirements.parent)
        (directory / "pyproject.toml").write_text(PROJECT)
        (directory / "wheels").mkdir()
        self.hashes = {version: a_wheel(directory / "wheels", version) for version in ("1.0", "1.1")}

    def make_venv(self, requirements: str) -> "subprocess.CompletedProcess[str]":
        self.requirements.write_text(requirements)
        own = {"PYTHON": sys.executable, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1"}
        index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self._directory / "wheels")}
        return subprocess.run(
            [str(self._directory / "deploy" / "venv.sh")],
            env={**os.environ, **own, **index},
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )

    def installed(self) -> str:
        """The release that is installed; empty if there is none."""
        command = [str(self._directory / ".venv" / "bin" / "python"), "-c", "import pinned; print(pinned.VERSION)"]
        return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()


def test_a_package_with_another_hash_is_not_installed(tmp_path: Path) -> None:
    project = Project(tmp_path)
    # Several hashes: a release has several files.
    right = f"pinned==1.0 --hash=sha256:{WRONG} --hash=sha256:{project.hashes['1.0']}\n"
    made = project.make_venv(right)
    assert (made.returncode, project.installed()) == (0, "1.0"), made.stderr
    before = project.stamp.stat().st_mtime_ns
    assert project.make_venv(right).returncode == 0
    assert project.stamp.stat().st_mtime_ns == before, "made again, although nothing has changed"

    refused = project.make_venv(f"pinned==1.1 --hash=sha256:{project.hashes['1.0']}\n")
    assert (refused.returncode, project.installed()) == (1, "1.0")
    assert "is not the file that deploy/requirements.txt names: its SHA-256 differs" in refused.stderr.splitlines()[-1]
    assert not project.stamp.exists(), "the next run tries again"
