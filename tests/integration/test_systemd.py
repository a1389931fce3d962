"""deploy/systemd: systemd accepts the unit, and its command and settings exist."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from engine.asterisk.config_files import ROOT
from engine.cli import app
from engine.config.settings import Settings

UNIT = ROOT / "deploy" / "systemd" / "rented-numbers.service"
ANALYZE = shutil.which("systemd-analyze")
LINES = [line.partition("=") for line in UNIT.read_text().splitlines() if "=" in line and not line.startswith("#")]


def values(key: str) -> list[str]:
    return [value for name, _, value in LINES if name == key]


def test_the_unit_starts_an_existing_command() -> None:
    [(program, command)] = [value.split() for value in values("ExecStart")]
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert Path(program).name in scripts
    assert command in get_command(app).commands  # type: ignore[attr-defined]


def test_the_units_environment_is_a_production_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    given = dict(value.split("=", 1) for value in values("Environment"))
    for name in [name for name in os.environ if name.startswith("RENTED_NUMBERS_")]:
        monkeypatch.delenv(name)
    for name, value in given.items():
        assert name.removeprefix("RENTED_NUMBERS_").lower() in Settings.model_fields
        monkeypatch.setenv(name, value)
    assert Settings().profile == "production"
    assert str(Settings().data_dir) == f"/var/lib/{values('StateDirectory')[0]}"


def test_the_unit_restarts_after_any_exit() -> None:
    assert values("Restart") == ["always"]


def test_the_unit_lets_no_core_dump_be_written_or_piped() -> None:
    assert values("LimitCORE") == ["1"]


@pytest.mark.skipif(ANALYZE is None, reason="no systemd on this machine")
def test_systemd_accepts_every_line_of_the_unit(tmp_path: Path) -> None:
    [start] = values("ExecStart")
    here = tmp_path / UNIT.name
    here.write_text(UNIT.read_text().replace(start.split()[0], sys.executable))
    command = [str(ANALYZE), "verify", "--man=no", str(here)]
    verified = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    complaints = [line for line in verified.stderr.splitlines() if here.name in line]
    assert (verified.returncode, complaints) == (0, [])
