"""The installation's secrets: files of mode 0600 under `data_dir/secrets`, made at first run, never in settings.

Each Asterisk shows the engine that it is one of ours with a token: `agi_token`, and `agi_token.NAME` for every further
one. Who takes one of these files away locks that Asterisk out, and no other.

`load` refuses what is missing, readable by others, short or a known default: better no start than an open one.
"""

import re
import secrets
from dataclasses import dataclass, fields
from pathlib import Path

from engine.domain.errors import RentedNumbersError
from engine.runtime.atomic_file import write_atomically

MIN_LENGTH = 24
DEFAULTS = frozenset({"changeme", "change-me", "secret", "password", "default", "asterisk", "rented-numbers", "admin"})

_FIRST_TOKEN = "agi_token"  # noqa: S105  the name of a file
_FURTHER_TOKEN = "agi_token."  # noqa: S105  likewise
_NAME_OF_ASTERISK = re.compile("[a-z][a-z0-9-]{0,30}")


class InsecureSecrets(RentedNumbersError):
    """Says which file is wrong and what to do about it."""


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """One field a file of that name."""

    agi_token: str
    ami_secret: str
    key_pepper: str
    softphone1_password: str
    softphone2_password: str


def refuse_lost_pepper(directory: Path, database: Path) -> None:
    """Another pepper would be made without a word, and no API key would ever open its account again."""
    path = directory / "key_pepper"
    if database.exists() and not path.exists():
        raise InsecureSecrets(
            f"secret {path} is gone, and every API key in {database} depends on it: put it back from a backup. "
            "If there is none, `rented-numbers setup --new-key-pepper` makes another; then make every API key anew"
        )


def ensure(directory: Path) -> list[str]:
    """Make what is missing. An existing file is never touched. Returns the names of those that were made."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = []
    for name in (field.name for field in fields(Secrets)):
        if not (directory / name).exists():
            _make(directory / name)
            made.append(name)
    return made


def _make(path: Path) -> None:
    write_atomically(path, secrets.token_urlsafe(24) + "\n")


def load(directory: Path) -> Secrets:
    """Raises InsecureSecrets."""
    return Secrets(**{field.name: _read(directory / field.name) for field in fields(Secrets)})


def agi_tokens(directory: Path) -> dict[str, str]:
    """Name of an Asterisk → its token; the first one has no name. Raises InsecureSecrets."""
    return {"": _read(directory / _FIRST_TOKEN)} | {
        path.name.removeprefix(_FURTHER_TOKEN): _read(path) for path in sorted(directory.glob(f"{_FURTHER_TOKEN}*"))
    }


def agi_token_of(directory: Path, name: str) -> tuple[str, bool]:
    """The token of the Asterisk of that name, and whether it was made just now. Raises InsecureSecrets."""
    if not name:
        return _read(directory / _FIRST_TOKEN), False
    if not _NAME_OF_ASTERISK.fullmatch(name):
        raise InsecureSecrets(f"{name!r} is no name for an Asterisk: small letters, digits and -, up to 31")
    path = directory / f"{_FURTHER_TOKEN}{name}"
    made = not path.exists()
    if made:
        _make(path)
    return _read(path), made


def _read(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        value = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise InsecureSecrets(f"secret {path} is missing: `rented-numbers setup` makes it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InsecureSecrets(f"secret {path} cannot be read: {error}") from error
    if mode & 0o077:
        raise InsecureSecrets(f"secret {path} can be read by others: chmod 600 it")
    if len(value) < MIN_LENGTH or len(set(value)) < 8 or any(word in value.lower() for word in DEFAULTS):
        raise InsecureSecrets(f"secret {path} is a default or too weak: delete it, `rented-numbers setup` makes one")
    if not all(character.isalnum() or character in "-_" for character in value):
        raise InsecureSecrets(f"secret {path} may only have letters, digits, - and _: it goes into Asterisk's files")
    return value
