"""The drop-in files for an Asterisk that is already there, readable by it and by nobody else."""

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from engine.asterisk.config_files import TEMPLATES, AsteriskMissing, drop_in_values, journal_script, render
from engine.config.secrets import Secrets
from engine.config.settings import Settings
from engine.runtime.atomic_file import write_atomically

JOURNAL_SCRIPT = "rented-numbers-journal"
# Whose files Asterisk can read, in the order in which they are asked.
KNOWN_FILES = ("asterisk.conf", "extensions.conf", "manager.conf", "pjsip.conf")


@dataclass(frozen=True, slots=True)
class Owner:
    uid: int
    gid: int

    def __str__(self) -> str:
        return f"{_name_of_user(self.uid)}:{_name_of_group(self.gid)}"


def owner_of(directory: Path) -> Owner:
    """Who has Asterisk's files there. `#tryinclude` passes over a file that Asterisk cannot read, without a word."""
    found = [directory / name for name in KNOWN_FILES if (directory / name).exists()]
    status = (found or [directory])[0].stat()
    return Owner(status.st_uid, status.st_gid)


def write_drop_ins(settings: Settings, kept: Secrets, directory: Path, agi_token: str = "") -> list[Path]:
    """Write the files, with that token or the first one. Returns those that Asterisk's own are to include.

    Raises AsteriskMissing.
    """
    if not directory.is_dir():
        raise AsteriskMissing(f"{directory} is no directory: give the one that has Asterisk's extensions.conf")
    owner = owner_of(directory)
    if os.geteuid() not in (0, owner.uid):
        raise AsteriskMissing(
            f"the files in {directory} belong to {owner}: run this as root, so that Asterisk can read them"
        )
    script = directory.absolute() / JOURNAL_SCRIPT
    _give(script, journal_script(settings), 0o750, owner)
    values = {**drop_in_values(settings, kept, agi_token or kept.agi_token), "media": "", "journal": script}
    written = []
    for template in sorted((TEMPLATES / "drop_in").glob("*.conf")):
        path = directory / template.name
        _give(path, render(template.read_text(), values), 0o640, owner)
        written.append(path)
    return written


def instructions(settings: Settings, directory: Path, written: list[Path]) -> list[str]:
    """What is left for a person to do, one line for each."""
    includes = [
        f'{path}: add  #tryinclude "{path.name}"  to {path.name.replace("_rented_numbers", "")}' for path in written
    ]
    owner = owner_of(directory)
    return [
        *includes,
        f"The files are for {owner} alone: if Asterisk runs as another user, change that",
        f"manager.conf: [general] must have  enabled = yes  and listen at {settings.ami_host}:{settings.ami_port}",
        f"pjsip.conf: must have a transport ({_transport(settings)}); the trunk and the carrier use it",
        "modules.conf: add  noload = res_pjsip_messaging.so  or what a callee types in a call reaches the caller",
        "logger.conf: keep debug, verbose and warning out of files: they can hold a hidden number",
        f"pjproject.conf: take the [log_mappings] of {TEMPLATES / 'own' / 'pjproject.conf'}, or others write its log",
        f"{settings.journal}: Asterisk's user must be able to write there (RENTED_NUMBERS_JOURNAL_DIR moves it)",
        f"{directory / JOURNAL_SCRIPT}: Asterisk's user must be able to run it, and the Python that it names",
        "Then, in Asterisk's console: core reload",
    ]


def _transport(settings: Settings) -> str:
    if settings.trunk_over_tls:
        return "type = transport, protocol = tls, verify_server = yes"
    return "type = transport"


def _give(path: Path, text: str, mode: int, owner: Owner) -> None:
    write_atomically(path, text, mode, prepare=lambda descriptor: os.fchown(descriptor, owner.uid, owner.gid))


def _name_of_user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _name_of_group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
