"""The user that an existing Asterisk runs as, who must be able to read what we write for it."""

import errno
import grp
import os
import pwd
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.asterisk.present_config import PresentConfig, Section, UnreadableConfig

# Files that Asterisk can surely read; the first that exists shows the owner that it needs.
KNOWN_FILES = ("asterisk.conf", "extensions.conf", "manager.conf", "pjsip.conf")
STANDARD_DIRECTORY = Path("/etc/asterisk")
STANDARD_RUN_DIRECTORY = "/var/run/asterisk"


@dataclass(frozen=True, slots=True)
class Owner:
    """The user and group that own a file; as text, their names."""

    uid: int
    gid: int

    def __str__(self) -> str:
        return f"{self.user}:{self.group}"

    @property
    def user(self) -> str:
        """The user's name; its number if it has none."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return str(self.uid)

    @property
    def group(self) -> str:
        """The group's name; its number if it has none."""
        try:
            return grp.getgrgid(self.gid).gr_name
        except KeyError:
            return str(self.gid)


def owner_of(directory: Path) -> Owner:
    """Returns the owner that our files need in a directory of Asterisk's configuration files.

    It is the user that Asterisk surely runs as, or else the owner of its own files: `#tryinclude` silently skips a file
    that Asterisk cannot read.
    """
    certain = runs_as(directory)
    if certain is not None:
        return certain
    for path in (*(directory / name for name in KNOWN_FILES), directory):
        with suppress(OSError):
            return _owner_of_file(path)
    raise FileNotFoundError(errno.ENOENT, "there is no such directory", str(directory))


def runs_as(directory: Path) -> Owner | None:
    """Returns the user and group that Asterisk surely runs as: those in asterisk.conf, or of the running Asterisk."""
    with suppress(UnreadableConfig, OSError, KeyError):
        user = _section(directory, "options").option("runuser")
        if user:
            found = pwd.getpwnam(user)
            group = _section(directory, "options").option("rungroup")
            return Owner(found.pw_uid, grp.getgrnam(group).gr_gid if group else found.pw_gid)
    with suppress(UnreadableConfig, OSError):
        standard = STANDARD_RUN_DIRECTORY if directory.absolute() == STANDARD_DIRECTORY else ""
        run = _section(directory, "directories").option("astrundir", standard)
        if run:
            return _owner_of_file(Path(run) / "asterisk.ctl")
    return None


def _section(directory: Path, name: str) -> Section:
    """Returns a section of asterisk.conf, without templates. Raises UnreadableConfig."""
    sections = PresentConfig(directory).sections("asterisk.conf")
    return Section(
        name,
        tuple(each for found in sections if found.name == name and not found.is_template for each in found.options),
    )


def _owner_of_file(path: Path) -> Owner:
    status = path.stat()
    return Owner(status.st_uid, status.st_gid)


def may_give_to(owner: Owner) -> bool:
    """Returns whether this process can write files that the owner can read and others cannot."""
    return os.geteuid() in (0, owner.uid) or may_give_to_group(owner.gid)


def may_give_to_group(gid: int) -> bool:
    """Returns whether this process may give its files to a group."""
    return gid in {os.getegid(), *os.getgroups()}
