"""A system that begins with another version's program, and goes on with this one's on the same data."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from engine.asterisk.config_files import ROOT, TOOLS, AsteriskHome, find_program, write_own
from engine.config import secrets
from engine.config.settings import Settings
from engine.config.sources import PREFIX
from engine.config.tuning import TUNING_VARIABLE
from engine.local.demo import key_file
from engine.local.processes import Child, LocalAsterisk
from engine.local.setup import set_up
from engine.local.upgrade import BACKUPS
from tests.chaos.trouble import Outage
from tests.e2e.environment import environ
from tests.e2e.system import System

NAMES = """
import json
from engine.config.settings import Settings
from engine.config.tuning import Tuning
print(json.dumps([list(Settings.model_fields), list(Tuning.model_fields)]))
"""
WRITE_FILES = """
import sys
from pathlib import Path
from engine.asterisk.config_files import find_program, write_own
from engine.config import secrets
from engine.config.settings import Settings
settings = Settings()
write_own(settings, secrets.load(settings.data_dir / "secrets"), find_program(Path(sys.argv[1])))
"""


def unpack(revision: str, directory: Path) -> None:
    """Unpacks the files of a revision of this repository."""
    command = ["/usr/bin/git", "-C", str(ROOT), "archive", revision, "engine", "api", "agi_scripts", "asterisk_conf"]
    archive = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extractall(directory, filter="data")


class UpgradedSystem(System):
    """The system of the version in `older`, until `upgrade`. Packages are those of this version's environment."""

    rtp_ports = 800

    def __init__(self, older: Path, **overrides: Any) -> None:
        super().__init__(**overrides)
        self._older: Path | None = older

    def start(self) -> None:
        with environ(self._environment):
            self.settings = Settings()
        self._run_older("-m", "engine", "setup")
        self._run_older("-c", WRITE_FILES, str(TOOLS))
        self.key = key_file(self.data_dir).read_text().strip()
        self._asterisk = LocalAsterisk(find_program(), AsteriskHome((self.data_dir / "asterisk").absolute()))
        self.start_engine()
        self.start_asterisk()
        self.up.append(self)
        self.wait_ready()

    def start_engine(self, **more: str) -> None:
        if self._older is None:
            super().start_engine(**more)
            return
        command = [sys.executable, "-P", "-m", "engine", "serve"]
        log = self.data_dir / "engine.log"
        self._engine = self._runner.run(Child.start("engine", command, log, self._older_environment(self._older)))

    def upgrade(self) -> tuple[Outage, list[str]]:
        """Ends the old engine, upgrades its data, and starts the new one. Asterisk goes on with the old files.

        Returns:
            How long there was no engine, and what the upgrade said.
        """
        said: list[str] = []
        began = time.time()
        self.stop_engine()
        self._older = None
        with environ(self._environment):
            set_up(self.settings, said.append)
        # The database as it was, so hidden numbers are in it. No other file may have one.
        shutil.rmtree(self.data_dir / BACKUPS, ignore_errors=True)
        self.start_engine()
        self.wait_ready()
        return Outage(began, time.time()), said

    def renew_asterisk(self) -> None:
        """Starts Asterisk again, with the files of this version."""
        assert self._asterisk is not None
        self._runner.run(self._asterisk.stop())
        write_own(self.settings, secrets.load(self.data_dir / "secrets"), find_program())
        self.start_asterisk()
        self.wait_ready()

    def _run_older(self, *words: str) -> str:
        assert self._older is not None
        command = [sys.executable, "-P", *words]
        done = subprocess.run(
            command, env=self._older_environment(self._older), stdout=subprocess.PIPE, text=True, check=True
        )
        return done.stdout

    def _older_environment(self, older: Path) -> Mapping[str, str]:
        """The settings and the figures of tests that the other version knows, and the path of its program."""
        others = {**os.environ, "PYTHONPATH": str(older)}
        names = subprocess.run(
            [sys.executable, "-P", "-c", NAMES], env=others, stdout=subprocess.PIPE, text=True, check=True
        )
        settings, figures = json.loads(names.stdout)
        wanted = {name: value for name, value in self._environment.items() if name != TUNING_VARIABLE}
        kept = {name: value for name, value in wanted.items() if name.removeprefix(PREFIX).lower() in settings}
        tuning = json.loads(self._environment.get(TUNING_VARIABLE, "{}"))
        known = {name: value for name, value in tuning.items() if name in figures}
        return {**others, **kept, TUNING_VARIABLE: json.dumps(known)}
