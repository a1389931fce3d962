"""The installation's secrets: files of mode 0600 under `data_dir/secrets`, made by the first start.

They are not settings, so that they do not appear in environments and command lines. Each Asterisk authenticates its
requests to the engine with a token of its own: `agi_token` for the first, `agi_token.NAME` for every further one.
Deleting one of these files locks out that Asterisk alone.

Kamailio and its nodes share secrets that are derived from `kamailio_key`; without Kamailio it is not read.

The passwords that carriers gave us are kept beside them, in `trunk_password.NAME`; the operator writes those.

`load` refuses a secret that is missing, readable by others, too short or a known default: the engine must not start
with it.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

from engine.domain.errors import RentedNumbersError
from engine.runtime.atomic_file import write_atomically
from engine.runtime.file_access import open_regular

MIN_LENGTH = 24
DEFAULTS = frozenset({"changeme", "change-me", "secret", "password", "default", "asterisk", "rented-numbers", "admin"})

_FIRST_TOKEN = "agi_token"  # noqa: S105  a file name, not a password
_FURTHER_TOKEN = "agi_token."  # noqa: S105  a file name too
_TRUNK_PASSWORD = "trunk_password."  # noqa: S105  and another
MAX_PASSWORD = 128
_KAMAILIO_KEY = "kamailio_key"
# Replaced at each start: the page /phone gives them to the browser.
OF_ONE_RUN = ("browser_caller_password", "browser_hidden_password")
_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
_NAME_OF_ASTERISK = re.compile("[a-z][a-z0-9-]{0,30}")


class InsecureSecrets(RentedNumbersError):
    """A secret cannot be used. The message names the file and says what to do."""


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """The secrets. Each field is stored in a file of the same name."""

    agi_token: str
    ami_secret: str
    key_pepper: str
    softphone1_password: str
    softphone2_password: str
    browser_caller_password: str
    browser_hidden_password: str


def refuse_lost_pepper(directory: Path, database: str | None) -> None:
    """Refuses to start when the database exists but the pepper of its API keys does not.

    Args:
        directory: The directory of the secrets.
        database: The database, in words; None: it has still to be made.

    Otherwise `ensure` would silently make another pepper, and every API key would stop working.

    Raises:
        InsecureSecrets: The pepper is missing.
    """
    path = directory / "key_pepper"
    if database is not None and not path.exists():
        raise InsecureSecrets(
            f"secret {path} is gone, and every API key in {database} depends on it: put it back from a backup. "
            "If there is none, `rented-numbers setup --new-key-pepper` makes another; then make every API key anew"
        )


def ensure(directory: Path) -> list[str]:
    """Makes the missing secrets and never touches an existing file. Returns the names of the new ones."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = []
    for name in made_names():
        if not (directory / name).exists():
            _make(directory / name)
            made.append(name)
    return made


def made_names() -> tuple[str, ...]:
    """Returns the names of the files that `ensure` makes."""
    return (*(field.name for field in fields(Secrets)), _KAMAILIO_KEY)


def renew(directory: Path, names: Iterable[str]) -> Secrets:
    """Replaces secrets by new ones. Returns all secrets, the new ones among them."""
    for name in names:
        _make(directory / name)
    return load(directory)


def _make(path: Path) -> None:
    write_atomically(path, secrets.token_urlsafe(24) + "\n")


def load(directory: Path) -> Secrets:
    """Reads all secrets.

    Raises:
        InsecureSecrets: One of them is missing or not safe.
    """
    return Secrets(**{field.name: _read(directory / field.name) for field in fields(Secrets)})


def asterisk_names(tokens: Iterable[str]) -> dict[str, str]:
    """Returns the name of the Asterisk that has each token, by which all engines on a database know it."""
    digests = {token: hashlib.sha256(f"name of an Asterisk,{token}".encode()).hexdigest()[:12] for token in tokens}
    # Letters only: the log masks digits, which may be a telephone number.
    return {token: digest.translate(_LETTERS) for token, digest in digests.items()}


def agi_tokens(directory: Path) -> list[str]:
    """Returns the tokens of all Asterisks, the first one's first.

    Raises:
        InsecureSecrets: One of them is missing or not safe.
    """
    return [_read(path) for path in (directory / _FIRST_TOKEN, *sorted(directory.glob(f"{_FURTHER_TOKEN}*")))]


class AgiToken(NamedTuple):
    """The token of one Asterisk, and whether it was made just now."""

    value: str
    is_new: bool


def agi_token_of(directory: Path, name: str | None) -> AgiToken:
    """Returns the token of the Asterisk with that name, and makes it if there is none. None: the first Asterisk.

    Raises:
        InsecureSecrets: The name cannot be used, or the token is missing or not safe.
    """
    if name is None:
        return AgiToken(_read(directory / _FIRST_TOKEN), is_new=False)
    if not _NAME_OF_ASTERISK.fullmatch(name):
        raise InsecureSecrets(f"{name!r} is no name for an Asterisk: use small letters, digits and -, at most 31")
    path = directory / f"{_FURTHER_TOKEN}{name}"
    is_new = not path.exists()
    if is_new:
        _make(path)
    return AgiToken(_read(path), is_new)


class KamailioSecrets(NamedTuple):
    """What Kamailio and its nodes share.

    Attributes:
        mask_key: Masks what later requests need to find their way.
        token: Shows a node that a request comes from Kamailio.
    """

    mask_key: str
    token: str


def kamailio_secrets(directory: Path) -> KamailioSecrets:
    """Returns the secrets that are derived from `kamailio_key`.

    Raises:
        InsecureSecrets: The key is missing or not safe.
    """
    key = _read(directory / _KAMAILIO_KEY)
    return KamailioSecrets(
        *(hashlib.sha256(f"{name} {key}".encode()).hexdigest()[:32] for name in KamailioSecrets._fields)
    )


def trunk_password(directory: Path, name: str) -> str:
    """Returns the password that the carrier of a trunk gave us.

    Raises:
        InsecureSecrets: It is missing, others can read it, or it cannot be used.
    """
    path = directory / f"{_TRUNK_PASSWORD}{name}"
    write_it = f"`rented-numbers trunks password {name}` writes it"
    password = _owners_text(path, write_it).removesuffix("\n")
    try:
        refuse_unusable_password(password)
    except InsecureSecrets as error:
        raise InsecureSecrets(f"secret {path}: {error}: {write_it}") from None
    return password


def write_trunk_password(directory: Path, name: str, password: str) -> None:
    """Stores the password that the carrier of a trunk gave us.

    Raises:
        InsecureSecrets: It cannot be used.
    """
    refuse_unusable_password(password)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(directory / f"{_TRUNK_PASSWORD}{name}", password + "\n")


def refuse_unusable_password(password: str) -> None:
    """Refuses a password that cannot stand in Asterisk's files, where a line ends it and spaces around it are lost.

    Raises:
        InsecureSecrets: It cannot be used. The message does not hold it.
    """
    if not password:
        raise InsecureSecrets("the password is empty")
    if not password.isprintable() or password != password.strip():
        raise InsecureSecrets("the password has a control character, or a space at one of its ends")
    if len(password.encode()) > MAX_PASSWORD:
        raise InsecureSecrets(f"the password is longer than {MAX_PASSWORD} bytes")


def _owners_text(path: Path, remedy: str) -> str:
    """Returns the text of a file that only its owner can read. Raises InsecureSecrets."""
    try:
        with os.fdopen(open_regular(path.resolve(), os.O_RDONLY), encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read()
    except FileNotFoundError:
        raise InsecureSecrets(f"secret {path} is missing: {remedy}") from None
    except UnicodeDecodeError:
        raise InsecureSecrets(f"secret {path} cannot be read: it is no text in UTF-8") from None
    except OSError as error:
        raise InsecureSecrets(f"secret {path} cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise InsecureSecrets(f"secret {path} can be read by others: use chmod 600")
    return text


def _read(path: Path) -> str:
    value = _owners_text(path, "`rented-numbers setup` makes it").strip()
    if len(value) < MIN_LENGTH or len(set(value)) < 8 or any(word in value.lower() for word in DEFAULTS):
        raise InsecureSecrets(
            f"secret {path} is a default or too weak: delete it, and `rented-numbers setup` makes another"
        )
    if not all(character.isascii() and (character.isalnum() or character in "-_") for character in value):
        raise InsecureSecrets(
            f"secret {path} may only have letters, digits, - and _, because it is written into Asterisk's files"
        )
    return value
