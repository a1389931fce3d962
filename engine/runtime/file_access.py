"""What another user may do with our files, by their modes; access lists are not considered. How files are opened."""

import errno
import grp
import os
import pwd
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Identity:
    """A user of the machine, with the groups that its processes have."""

    uid: int
    gids: Collection[int]


def identity_of(uid: int, gid: int) -> Identity:
    """Returns a user with its group and those that the group database adds."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return Identity(uid, {gid})
    return Identity(uid, {gid, *(each.gr_gid for each in grp.getgrall() if name in each.gr_mem)})


def open_regular(path: Path, flags: int, mode: int = 0o600) -> int:
    """Opens a regular file, and nothing else that may have its name: a link could lead anywhere, a pipe would block.

    Returns:
        The descriptor, which the caller closes.

    Raises:
        OSError: It cannot be opened, or is not a regular file.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return descriptor


def may_create_in(directory: Path, who: Identity) -> bool:
    """Returns whether a user may create files in a directory, and reach it. Raises OSError."""
    path = directory.absolute()
    return _may(path, who, stat.S_IWUSR | stat.S_IXUSR) and all(
        _may(parent, who, stat.S_IXUSR) for parent in path.parents
    )


def may_append_to(file: Path, who: Identity) -> bool:
    """Returns whether a user may write into a file, once it has reached its directory. Raises OSError."""
    return _may(file, who, stat.S_IWUSR)


def _may(path: Path, who: Identity, bits: int) -> bool:
    """Checks bits of the mode, given as those of the owner."""
    status = path.stat()
    if who.uid == 0:
        return True
    if status.st_uid != who.uid:
        bits >>= 3 if status.st_gid in who.gids else 6
    return status.st_mode & bits == bits
