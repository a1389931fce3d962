"""Drop-in files for an Asterisk that is there already, readable only by the user it runs as."""

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from engine.asterisk.config_files import TEMPLATES, AsteriskMissing, check_end_spool, drop_in_values, render
from engine.config.secrets import Secrets
from engine.config.settings import Settings
from engine.runtime.atomic_file import write_atomically

# Files that Asterisk can surely read; the first that exists shows the owner that it needs.
KNOWN_FILES = ("asterisk.conf", "extensions.conf", "manager.conf", "pjsip.conf")


@dataclass(frozen=True, slots=True)
class Owner:
    """The user and group that own a file; as text, their names."""

    uid: int
    gid: int

    def __str__(self) -> str:
        return f"{_name_of_user(self.uid)}:{_name_of_group(self.gid)}"


def owner_of(directory: Path) -> Owner:
    """Returns the owner of Asterisk's files in a directory.

    Our files get the same owner, because `#tryinclude` silently skips a file that Asterisk cannot read.
    """
    found = [directory / name for name in KNOWN_FILES if (directory / name).exists()]
    status = (found or [directory])[0].stat()
    return Owner(status.st_uid, status.st_gid)


def write_drop_ins(settings: Settings, kept: Secrets, directory: Path, agi_token: str | None = None) -> list[Path]:
    """Writes the drop-in files into a directory.

    Args:
        settings: The settings.
        kept: The installation's secrets.
        directory: Where Asterisk's own configuration files are.
        agi_token: The token of this Asterisk; None for the installation's first one.

    Returns:
        The files that Asterisk's own files have to include.

    Raises:
        AsteriskMissing: The directory does not exist, or its files belong to another user.
    """
    if not directory.is_dir():
        raise AsteriskMissing(f"{directory} is not a directory: name the one that has Asterisk's extensions.conf")
    owner = owner_of(directory)
    if os.geteuid() not in (0, owner.uid):
        raise AsteriskMissing(
            f"the files in {directory} belong to {owner}: run this command as root, so that Asterisk can read its files"
        )
    check_end_spool(settings)
    values = {**drop_in_values(settings, kept, agi_token or kept.agi_token), "media": ""}
    written = []
    for template in sorted((TEMPLATES / "drop_in").glob("*.conf")):
        path = directory / template.name
        _write(path, render(template.read_text(), values), 0o640, owner)
        written.append(path)
    return written


def _write(path: Path, text: str, mode: int, owner: Owner) -> None:
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
