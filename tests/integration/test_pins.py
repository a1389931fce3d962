"""deploy/venv.sh installs only the files whose SHA-256 it has, and fetches nothing to build the project."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from engine.asterisk.config_files import ROOT

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
# A build back-end that makes an empty editable wheel, so that the test needs no package index.
BACKEND = f"""\
import zipfile

def build_editable(directory, config_settings=None, metadata_directory=None):
    name = "project-1.0-py3-none-any.whl"
    with zipfile.ZipFile(directory + "/" + name, "w") as wheel:
        wheel.writestr("project-1.0.dist-info/METADATA", {METADATA.format(name="project")!r})
        wheel.writestr("project-1.0.dist-info/WHEEL", {WHEEL!r})
        wheel.writestr("project-1.0.dist-info/RECORD", "")
    return name
"""
# What it requires exists nowhere: a build that fetches it fails.
PROJECT = """\
[build-system]
requires = ["fetched-from-nowhere"]
build-backend = "pinned"
[project]
name = "project"
version = "1.0"
"""


def a_wheel(directory: Path, text: str) -> str:
    """Writes a wheel with the build back-end and returns its SHA-256."""
    path = directory / "pinned-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("pinned.py", text)
        wheel.writestr("pinned-1.0.dist-info/METADATA", METADATA.format(name="pinned"))
        wheel.writestr("pinned-1.0.dist-info/WHEEL", WHEEL)
        wheel.writestr("pinned-1.0.dist-info/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_venv(project: Path) -> "subprocess.CompletedProcess[str]":
    own = {"PYTHON": sys.executable, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1"}
    index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(project / "wheels")}
    return subprocess.run(
        [str(project / "deploy" / "venv.sh")],
        env={**os.environ, **own, **index},
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


def test_a_package_with_another_hash_or_none_is_not_installed(tmp_path: Path) -> None:
    deploy = tmp_path / "deploy"
    deploy.mkdir()
    shutil.copy(ROOT / "deploy" / "venv.sh", deploy)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "wheels").mkdir()
    right = a_wheel(tmp_path / "wheels", BACKEND)
    requirements = deploy / "requirements.txt"
    python = tmp_path / ".venv" / "bin" / "python"
    imported = [str(python), "-c", "import pinned"]

    refusals = {
        f"pinned==1.0 --hash=sha256:{'0' * 64}\n": "is not the file that deploy/requirements.txt names",
        "pinned==1.0\n": "has no SHA-256 in deploy/requirements.txt",
    }
    for pin, reason in refusals.items():
        requirements.write_text(pin)
        refused = make_venv(tmp_path)
        assert refused.returncode == 1, refused.stderr
        assert reason in refused.stderr.splitlines()[-1]
        assert subprocess.run(imported, check=False, capture_output=True).returncode == 1
        assert not (tmp_path / ".venv" / ".made").exists()

    # Several hashes: a release has several files.
    requirements.write_text(f"pinned==1.0 --hash=sha256:{'0' * 64} --hash=sha256:{right}\n")
    made = make_venv(tmp_path)
    assert made.returncode == 0, made.stderr
    assert subprocess.run(imported, check=False, capture_output=True).returncode == 0
    before = (tmp_path / ".venv" / ".made").stat().st_mtime_ns
    assert make_venv(tmp_path).returncode == 0
    assert (tmp_path / ".venv" / ".made").stat().st_mtime_ns == before, "made again, although nothing changed"
