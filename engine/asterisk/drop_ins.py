"""Drop-in files for an Asterisk that is there already, readable only by the user it runs as."""

import os
from pathlib import Path

from engine.asterisk.asterisk_user import Owner, may_give_to, may_give_to_group, owner_of
from engine.asterisk.config_files import (
    TEMPLATES,
    AsteriskMissing,
    check_nameable,
    drop_in_values,
    prompt_sources,
    render,
)
from engine.asterisk.prompts import DIRECTORY
from engine.config.secrets import Secrets
from engine.config.settings import Settings
from engine.runtime.atomic_file import write_atomically


def write_drop_ins(
    settings: Settings,
    kept: Secrets,
    directory: Path,
    agi_token: str | None = None,
    output: Path | None = None,
) -> list[Path]:
    """Writes the drop-in files, and the prompts into a directory next to them if callers hear any.

    Args:
        settings: The settings.
        kept: The installation's secrets.
        directory: Where Asterisk's own configuration files are.
        agi_token: The token of this Asterisk; None for the installation's first one.
        output: Where to write them, to be copied from there by root; None for Asterisk's directory.

    Returns:
        The files, which Asterisk's own files have to include.

    Raises:
        AsteriskMissing: See `check_target`.
    """
    check_target(directory, output)
    check_nameable(settings.journal, "set RENTED_NUMBERS_JOURNAL_DIR to one")
    owner = owner_of(directory)
    prompts = directory / DIRECTORY
    if settings.speaks:
        check_nameable(prompts.absolute(), "set RENTED_NUMBERS_VOICE=false, or choose a directory")
        prompt_sources(settings).install((output or directory) / DIRECTORY)
    values = {**drop_in_values(settings, kept, agi_token or kept.agi_token, prompts), "media": ""}
    written = []
    for template in sorted((TEMPLATES / "drop_in").glob("*.conf")):
        if template.name.startswith("musiconhold") and not settings.speaks:
            continue  # one file less to include
        path = (output or directory) / template.name
        text = render(template.read_text(), values)
        if output is None:
            _write_for(owner, path, text)
        else:
            write_atomically(path, text)
        written.append(path)
    return written


def check_target(directory: Path, output: Path | None) -> None:
    """Checks, before anything is made, that the drop-in files can be written so that Asterisk can read them.

    Raises:
        AsteriskMissing: There is no such directory, or this user may not write there or not for Asterisk's user.
    """
    if not directory.is_dir():
        raise AsteriskMissing(f"{directory} is not a directory: name the one that has Asterisk's extensions.conf")
    if output is not None:
        output.mkdir(parents=True, exist_ok=True, mode=0o700)
        return
    owner = owner_of(directory)
    if not os.access(directory, os.W_OK | os.X_OK, effective_ids=True):
        problem = f"this user may not write in {directory}"
    elif not may_give_to(owner):
        problem = f"Asterisk's files belong to {owner}, who could not read what this user writes"
    else:
        return
    raise AsteriskMissing(
        f"{problem}: run this command as root, or add  --output DIR  to write the files elsewhere, for root to copy"
    )


def _write_for(owner: Owner, path: Path, text: str) -> None:
    """Writes a file that its owner can read, and the owner's group, and nobody else."""

    def give(descriptor: int) -> None:
        if os.geteuid() == 0:
            os.fchown(descriptor, owner.uid, owner.gid)
        elif may_give_to_group(owner.gid):
            os.fchown(descriptor, -1, owner.gid)

    write_atomically(path, text, 0o640, prepare=give)
