"""Writes a file whole or not at all.

It imports only the standard library, because a classic AGI script imports it and must start within milliseconds.
"""

import os
from collections.abc import Callable
from pathlib import Path


def write_atomically(
    path: Path,
    text: str,
    mode: int = 0o600,
    *,
    prepare: Callable[[int], None] | None = None,
    sync_directory: bool = False,
) -> None:
    """Replaces `path` by a file with this text.

    The text is complete and synced under another name before it takes its place, so that a kill at any moment leaves
    the old file or the new one. A link that somebody put at the temporary name is not followed.

    Args:
        path: The file; its directory exists.
        text: Written as UTF-8.
        mode: Permissions of the file, whatever the umask.
        prepare: Called with the open descriptor before anything is written, to change its owner for example.
        sync_directory: Whether the new name survives a loss of power as well.

    Raises:
        OSError: The file could not be written; `path` is as it was.
    """
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        if prepare is not None:
            prepare(descriptor)
        os.fchmod(descriptor, mode)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    partial.rename(path)
    if sync_directory:
        _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
