"""deploy/systemd: systemd accepts the unit, and its command and settings exist."""

import os
import re
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
    assert program in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert command in get_command(app).commands  # type: ignore[attr-defined]


def test_the_units_settings_are_a_production_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    assert values("Environment") == ["RENTED_NUMBERS_CONFIG=/etc/rented-numbers/rented-numbers.toml"]
    for name in [name for name in os.environ if name.startswith("RENTED_NUMBERS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RENTED_NUMBERS_CONFIG", str(ROOT / "deploy" / "rented-numbers.toml"))
    assert Settings().profile == "production"
    assert str(Settings().data_dir) == f"/var/lib/{values('StateDirectory')[0]}"
    user = (UNIT.parent / "sysusers.conf").read_text().splitlines()[-1]
    assert user.split()[1] == values("User")[0]


def test_the_examples_in_the_settings_file_are_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "rented-numbers.toml").read_text()
    named = tmp_path / "settings.toml"
    named.write_text(re.sub(r"(?m)^# (?=\[\[|\w+ = )", "", text))
    monkeypatch.setenv("RENTED_NUMBERS_CONFIG", str(named))
    settings = Settings()
    assert [trunk.name for trunk in settings.trunks_in_use] == ["carrier"]
    assert settings.http_proxies


def test_the_unit_restarts_after_any_exit_without_end() -> None:
    assert (values("Restart"), values("StartLimitIntervalSec")) == (["always"], ["0"])


def test_the_unit_lets_no_core_dump_be_written_or_piped() -> None:
    assert values("LimitCORE") == ["1"]


@pytest.mark.skipif(ANALYZE is None, reason="no systemd on this machine")
@pytest.mark.parametrize("drop_in", [None, "engine-only.conf"])
def test_systemd_accepts_every_line_of_the_unit_and_calls_it_safe(tmp_path: Path, drop_in: str | None) -> None:
    def installed(name: str, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_text((UNIT.parent / name).read_text().replace("=rented-numbers ", f"={sys.executable} "))

    unit = tmp_path / UNIT.name
    installed(UNIT.name, unit)
    if drop_in:
        installed(drop_in, tmp_path / f"{UNIT.name}.d" / drop_in)
    assert systemd(tmp_path, "verify", "--man=no", str(unit)) == (0, [])
    # Of 10; systemd calls what is below 2 "OK".
    assert systemd(tmp_path, "security", "--offline=yes", "--threshold=18", str(unit))[0] == 0


def systemd(directory: Path, *words: str) -> tuple[int, list[str]]:
    """Runs systemd-analyze. Returns its exit status and what it says about the unit on standard error."""
    done = subprocess.run(
        [str(ANALYZE), *words],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{directory}:"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, [line for line in done.stderr.splitlines() if "rented-numbers" in line]
