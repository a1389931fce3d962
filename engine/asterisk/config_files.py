"""Writes Asterisk's configuration from the templates in asterisk_conf/ (`@name@` is a placeholder)."""

import json
import os
import re
import secrets
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.asterisk.sip_config import bracketed, encryption, media_address, sip_values, trunk_identify
from engine.asterisk.softphones import phone_globals, softphone_sections
from engine.config.secrets import Secrets
from engine.config.settings import Settings
from engine.config.tuning import CALL_DEADLINE_SECONDS
from engine.domain.errors import RentedNumbersError
from engine.runtime.atomic_file import write_atomically

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "asterisk_conf"
TOOLS = ROOT / ".tools"

# Asterisk complains, or does not start, without these; empty is enough.
EMPTY_FILES = ("acl", "ccss", "cel", "cli_aliases", "features", "udptl")
# Sound and its control, with each of the two; and one, together with others', for calls that are refused: Asterisk
# takes ports before it counts calls, and without any it would say 488, which sends no carrier elsewhere.
PORTS_OF_CALL = 5
# Who comes last then waits for about half a second.
UNDECIDED_PER_CORE = 16
# The dialplan gives up an unanswered FastAGI request after this time: later than the engine, and early enough for a
# carrier to try its next route.
ENGINE_SECONDS = CALL_DEADLINE_SECONDS + 1
# The engine's user of Asterisk's manager interface.
AMI_USER = "rented-numbers"

_PLACEHOLDER = re.compile(r"@([a-z0-9_]+)@")
# The path of a unix socket may have 107 bytes.
MAX_RUN_PATH = 90


class AsteriskMissing(RentedNumbersError):
    """No Asterisk was found or fetched, or it cannot be used."""


@dataclass(frozen=True, slots=True)
class AsteriskProgram:
    """What deploy/tools.sh found or fetched; absolute paths."""

    command: tuple[str, ...]
    modules: Path
    data: Path
    varlib: Path
    version: str


def find_program(tools: Path = TOOLS) -> AsteriskProgram:
    """Read `.tools/asterisk.json`. Raises AsteriskMissing."""
    try:
        found = json.loads((tools / "asterisk.json").read_text())
        command = [str(tools / found["command"][0]), *found["command"][1:]]
        return AsteriskProgram(
            command=tuple(command),
            modules=tools / found["modules_dir"],
            data=tools / found["data_dir"],
            varlib=tools / found["varlib_dir"],
            version=found["version"],
        )
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise AsteriskMissing("no Asterisk yet: run deploy/tools.sh asterisk") from error


@dataclass(frozen=True, slots=True)
class AsteriskHome:
    """Where an Asterisk of our own keeps its files."""

    base: Path

    @property
    def etc(self) -> Path:
        return self.base / "etc"

    @property
    def config(self) -> Path:
        return self.etc / "asterisk.conf"

    @property
    def log(self) -> Path:
        return self.base / "log"


def write_own(settings: Settings, kept: Secrets, program: AsteriskProgram) -> AsteriskHome:
    """Write the whole configuration of an Asterisk of our own under `data_dir/asterisk`."""
    home = AsteriskHome((settings.data_dir / "asterisk").absolute())
    run = home.base / "run"
    if len(str(run)) > MAX_RUN_PATH:
        raise AsteriskMissing(f"{run} is too long a path for Asterisk's socket: set a shorter data_dir")
    for path in (home.base, program.modules, program.data):
        if not str(path).isprintable() or ";" in str(path):
            raise AsteriskMissing(f"{str(path)!r} cannot stand in Asterisk's files: a semicolon or a control character")
    for directory in (home.etc, home.log, run, home.base / "spool"):
        directory.mkdir(parents=True, exist_ok=True)
    home.base.chmod(0o700)
    varlib = home.base / "lib"
    if not varlib.exists():
        shutil.copytree(program.varlib, varlib, symlinks=True)
    values = {
        **drop_in_values(settings, kept, kept.agi_token),
        "journal": home.base / "journal-ended",
        "etc": home.etc,
        "modules": program.modules,
        "data": program.data,
        "varlib": varlib,
        "spool": home.base / "spool",
        "run": run,
        "log": home.log,
        "system_name": _system_name(home),
        **sip_values(settings),
        "rtp_start": settings.rtp_start,
        "most_calls": (settings.rtp_end - settings.rtp_start + 1) // PORTS_OF_CALL,
        "rtp_end": settings.rtp_end,
        "ami_host": settings.ami_host,
        "ami_port": settings.ami_port,
        "phone_globals": phone_globals(settings),
        "softphones": softphone_sections(settings, kept),
        "media": media_address(settings),
    }
    write_atomically(home.base / "journal-ended", journal_script(settings), 0o700)
    for name in EMPTY_FILES:
        (home.etc / f"{name}.conf").write_text("")
    for template in (*(TEMPLATES / "own").glob("*.conf"), *(TEMPLATES / "drop_in").glob("*.conf")):
        write_atomically(home.etc / template.name, render(template.read_text(), values), 0o600)
    return home


def render(template: str, values: Mapping[str, object]) -> str:
    """Fill in the placeholders. Raises KeyError for one that has no value."""
    return _PLACEHOLDER.sub(lambda match: str(values[match[1]]), template)


def drop_in_values(settings: Settings, kept: Secrets, agi_token: str) -> dict[str, object]:
    return {
        "agi_token": agi_token,
        "fastagi": f"{reachable(settings.fastagi_host)}:{settings.fastagi_port}",
        "engine_seconds": ENGINE_SECONDS,
        "most_undecided": settings.tuning.max_undecided_calls or UNDECIDED_PER_CORE * len(os.sched_getaffinity(0)),
        "rtp_timeout": int(settings.rtp_timeout.total_seconds()),
        "encryption": encryption(settings),
        # A bare semicolon would begin a comment, and the transport would be lost.
        "trunk_uri": settings.trunk_uri.replace(";", "\\;"),
        "trunk_identify": trunk_identify(settings),
        "carrier_matches": "\n".join(f"match = {each}" for each in settings.carrier_addresses),
        "ami_user": AMI_USER,
        "ami_secret": kept.ami_secret,
        "ami_permits": "\n".join(f"permit = {each}" for each in settings.ami_permit),
    }


def reachable(host: str) -> str:
    """Where what listens there can be reached from this machine, as it stands in a URL."""
    return bracketed({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host))  # noqa: S104  compared, not bound


def _system_name(home: AsteriskHome) -> str:
    """Made once: it is part of every call's unique id, and a fresh database must not meet the ids of an old one."""
    path = home.base / "system-name"
    if not path.exists():
        path.write_text(f"rn{secrets.token_hex(4)}\n")
    return path.read_text().strip()


def journal_script(settings: Settings) -> str:
    """Asterisk names a classic AGI script by its path alone: this one knows the interpreter and the directory.

    Nice: a burst of ends without an engine must not take the processor from the calls that are up. Deaf to SIGHUP,
    which Asterisk sends when it has done with the channel, perhaps before the interpreter is there.
    """
    words = [sys.executable, str(ROOT / "agi_scripts" / "journal_ended.py"), str(settings.journal)]
    return f"#!/bin/sh\ntrap '' HUP\nexec nice -n 10 {shlex.join(words)} \"$@\"\n"
