"""A system beside an Asterisk that was there before: with Debian's files, or with files laid out like FreePBX's."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from engine.asterisk.config_files import TOOLS, AsteriskHome, find_program, render
from engine.config.settings import Settings
from engine.local.demo import key_file
from engine.local.processes import LocalAsterisk
from engine.local.setup import set_up
from tests.e2e.environment import environ
from tests.e2e.system import System

FREEPBX = Path(__file__).parent / "freepbx"
DEBIAN = TOOLS / "asterisk-tree" / "etc" / "asterisk"
DIRECTORIES = """[directories]
astetcdir => {home.etc}
astmoddir => {program.modules}
astvarlibdir => {home.varlib}
astdbdir => {home.varlib}
astkeydir => {home.varlib}
astdatadir => {program.data}
astagidir => {home.varlib}/agi-bin
astspooldir => {home.spool}
astrundir => {home.run}
astlogdir => {home.log}

[options]
systemname = attached
"""
# What `asterisk-config` prints for a person, as a program can do it.
INCLUDE = re.compile(r'(?P<path>\S+): add  (?P<line>#tryinclude "\S+")  to (?P<file>\S+)')
ADD = re.compile(r"(?P<file>\S+): add  (?P<line>noload = \S+)  so that .*")
CHANGE = re.compile(r"(?P<file>\S+): change to  (?P<line>(?P<name>\S+) => \S+)  because .*")
TRANSPORT = re.compile(r"pjsip\.conf: must have a transport \((?P<options>.*)\), which .*")
COPY = re.compile(r"(?P<file>\S+): copy \[(?P<section>\w+)\] from (?P<path>\S+), .*")
# Told for the case that it is so, which cannot be seen from the files.
IF = re.compile(r"Only \S+ can read these files: if .*")
LAST = re.compile(r"Then (run in Asterisk's console|restart Asterisk).*")


class AttachedSystem(System):
    """A system beside an Asterisk that has its own files and is found in PATH.

    Attributes:
        files: The directory with its configuration files.
    """

    rtp_ports = 100
    files: Path

    def __init__(self) -> None:
        super().__init__(manage_asterisk=False)
        self.home = AsteriskHome(self.data_dir / "asterisk")
        self._environment["PATH"] = f"{self.data_dir / 'bin'}:/usr/bin:/bin"

    def start(self) -> None:
        with environ(self._environment):
            self.settings = Settings()
        set_up(self.settings, lambda line: None)
        self.key = key_file(self.data_dir).read_text().strip()
        self._make_home()
        self._make_program()
        self.settings.journal.mkdir(exist_ok=True)
        self._asterisk = LocalAsterisk(find_program(), self.home)
        self.start_asterisk()
        (self.data_dir / "engine.log").touch()
        # The engine starts when Asterisk has its manager user: it waits longer after each login that is refused.
        self.up.append(self)

    def _make_home(self) -> None:
        program = find_program()
        logs = [self.home.log / name for name in ("cdr-csv", "cdr-custom", "cel-custom")]
        for directory in (self.home.etc, *logs, self.home.run, self.home.spool):
            directory.mkdir(parents=True)
        (self.home.log / "messages").touch()
        shutil.copytree(program.varlib, self.home.varlib, symlinks=True)
        ports = {name: getattr(self.settings, name) for name in ("ami_port", "sip_port", "rtp_start", "rtp_end")}
        for path in self.files.rglob("*.conf"):
            text = path.read_text(errors="replace")
            target = self.home.etc / path.relative_to(self.files)
            target.parent.mkdir(exist_ok=True)
            target.write_text(render(text, ports) if self.files == FREEPBX else text)
        self.home.config.write_text(DIRECTORIES.format(home=self.home, program=program))
        for path in list(self.home.etc.glob("*.conf")):
            self._make_included(path)

    def _make_included(self, path: Path) -> None:
        """Makes the files for the administrator's own lines, which FreePBX leaves empty."""
        for name in re.findall(r"^#include ([\w.]+)$", path.read_text(), re.MULTILINE):
            included = self.home.etc / name
            if not included.exists():
                included.touch()

    def _make_program(self) -> None:
        path = self.data_dir / "bin" / "asterisk"
        path.parent.mkdir()
        path.write_text(f'#!/bin/sh\nexec {find_program().command[0]} -C {self.home.config} "$@"\n')
        path.chmod(0o700)

    def set_option(self, file: str, name: str, value: object) -> None:
        """Gives an option of a stock file another value, such as a port that is free here."""
        path = self.home.etc / file
        text, count = re.subn(rf"^;?{name} *=.*$", f"{name} = {value}", path.read_text(), count=1, flags=re.MULTILINE)
        assert count == 1, (file, name)
        path.write_text(text)

    def restart_asterisk(self) -> None:
        assert self._asterisk is not None
        self._runner.run(self._asterisk.stop())
        self.start_asterisk()

    def doctor(self) -> dict[str, list[dict[str, Any]]]:
        """The findings of `doctor` about Asterisk, by their parts."""
        findings: dict[str, list[dict[str, Any]]] = {}
        for finding in json.loads(self._command("doctor", "--json").stdout):
            if finding["part"].startswith("asterisk "):
                findings.setdefault(finding["part"], []).append(finding)
        return findings

    def asterisk_config(self) -> list[str]:
        """Runs `asterisk-config` and returns the steps that it prints."""
        done = self._command("asterisk-config", str(self.home.etc))
        assert (done.returncode, done.stderr) == (0, "")
        return [line for line in done.stdout.splitlines() if not IF.fullmatch(line)]

    def do(self, step: str) -> None:
        """Does what a step says, to the letter."""
        etc = self.home.etc
        if found := INCLUDE.fullmatch(step):
            _append(etc / found["file"], found["line"])
        elif found := ADD.fullmatch(step):
            assert found["file"] == "modules.conf"
            path = etc / found["file"]
            path.write_text(path.read_text().replace("[modules]\n", f"[modules]\n{found['line']}\n", 1))
        elif found := CHANGE.fullmatch(step):
            path = etc / found["file"]
            line = rf"^{re.escape(found['name'])} *=>.*$"
            text, count = re.subn(line, found["line"], path.read_text(), flags=re.MULTILINE)
            assert count == 1, step
            path.write_text(text)
        elif found := TRANSPORT.fullmatch(step):
            options = found["options"].replace(", ", "\n")
            _append(etc / "pjsip.conf", f"[transport]\n{options}\nbind = 127.0.0.1:{self.settings.sip_port}")
        elif found := COPY.fullmatch(step):
            section = Path(found["path"]).read_text()
            _append(etc / found["file"], section[section.index(f"[{found['section']}]") :])
        else:
            assert LAST.fullmatch(step), step


def _append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(f"\n{text}\n")
