"""The file of a backup: a tar with a manifest and the files that it describes, encrypted or not.

The manifest comes first. It has the version, the schema, the times, and of each file its size and SHA-256.
"""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, BinaryIO, cast

from engine.backup.envelope import MAGIC, EncryptedReader, EncryptedWriter, is_encrypted
from engine.domain.errors import RentedNumbersError
from engine.domain.times import EpochMs
from engine.runtime import failpoints

FORMAT = 1
MANIFEST = "manifest.json"
DATABASE = "database.sqlite3"
SECRETS = "secrets/"
SQLITE_MAGIC = b"SQLite format 3\0"
# A manifest lists a handful of files.
MAX_MANIFEST = 1024 * 1024
BLOCK = 1024 * 1024


class BadBackup(RentedNumbersError):
    """The file is no backup, or a damaged one. The message says what is wrong."""


class BackupExists(RentedNumbersError):
    """There is such a file already. A backup never replaces another one."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says about itself.

    Attributes:
        version: The program that made it.
        schema: The revision of its database.
        created_at: When its database was read; it has everything that was committed before.
        newest_row_at: When its newest row was made; None in an empty database.
        pepper: A digest by which a key pepper is recognised; empty if there was none.
        files: SHA-256 and size of each file, by name.
    """

    version: str
    schema: str
    created_at: EpochMs
    newest_row_at: EpochMs | None
    pepper: str = ""
    files: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    format: int = FORMAT
    engine: str = "sqlite"


def write(target: Path, manifest: Manifest, files: Mapping[str, Path], passphrase: str | None) -> None:
    """Writes a backup, whole or not at all, for its owner only.

    Args:
        target: The new file.
        manifest: The manifest, with the sums of the files.
        files: The files by their names in the backup.
        passphrase: Encrypts it; None: it is not encrypted.

    Raises:
        BackupExists: There is such a file.
        OSError: It could not be written.
    """
    partial = target.with_name(f".{target.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if passphrase is None:
                _write_tar(file, manifest, files)
            else:
                with closing(EncryptedWriter(file, passphrase)) as encrypted:
                    _write_tar(cast("BinaryIO", encrypted), manifest, files)
            file.flush()
            os.fsync(descriptor)
        failpoints.hit("backup written")
        try:
            # Not a rename, which would replace a file that came meanwhile.
            os.link(partial, target)
        except OSError:
            if target.exists():
                raise BackupExists(f"{target} exists already, and a backup never replaces a file") from None
            partial.rename(target)  # a file system without hard links
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()
    sync_directory(target.parent)


def _write_tar(file: BinaryIO, manifest: Manifest, files: Mapping[str, Path]) -> None:
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        text = (json.dumps(asdict(manifest), indent=2) + "\n").encode()
        tar.addfile(_header(MANIFEST, len(text)), io.BytesIO(text))
        for name, path in files.items():
            with path.open("rb") as content:
                tar.addfile(_header(name, path.stat().st_size), content)


def _header(name: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size, header.mode = size, 0o600
    return header


def needs_passphrase(path: Path) -> bool:
    """Returns whether a backup is encrypted. Raises OSError."""
    with path.open("rb") as file:
        return is_encrypted(file.read(len(MAGIC)))


def is_plain_database(path: Path) -> bool:
    """Returns whether the file is a SQLite database, and not a backup. Raises OSError."""
    with path.open("rb") as file:
        return file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC


def unpack(path: Path, passphrase: str | None, directory: Path) -> Manifest:
    """Unpacks a backup into an empty directory, and compares every file with its sum.

    Args:
        path: The backup.
        passphrase: For an encrypted one.
        directory: Where the files go, without the folders in their names: `secrets/x` becomes `secrets.x`.

    Raises:
        BadBackup: It is none, it is cut short, or a file in it differs from its sum.
        WrongPassphrase: It cannot be decrypted.
        OSError: It cannot be read, or the directory not be written.
    """
    with _opened(path, passphrase) as file:
        try:
            with tarfile.open(fileobj=file, mode="r|") as tar:
                members = iter(tar)
                manifest = _read_manifest(tar, next(members, None))
                found = {member.name for member in members if _unpack_member(tar, member, manifest, directory)}
        except (tarfile.TarError, EOFError) as error:
            raise BadBackup(f"{path} is not a whole backup: {error}") from None
    if missing := manifest.files.keys() - found:
        raise BadBackup(f"{path} lacks {', '.join(sorted(missing))}")
    return manifest


def unpacked(directory: Path, name: str) -> Path:
    """Returns where `unpack` has put a file of the backup."""
    return directory / name.replace("/", ".")


@contextmanager
def _opened(path: Path, passphrase: str | None) -> Iterator[IO[bytes]]:
    with path.open("rb") as file:
        if not is_encrypted(file.read(len(MAGIC))):
            file.seek(0)
            yield file
            return
        file.seek(0)
        if passphrase is None:
            raise BadBackup(f"{path} is encrypted: a passphrase is needed")
        with io.BufferedReader(EncryptedReader(file, passphrase)) as plain:
            yield plain


def _read_manifest(tar: tarfile.TarFile, member: tarfile.TarInfo | None) -> Manifest:
    if member is None or member.name != MANIFEST or not member.isreg() or member.size > MAX_MANIFEST:
        raise BadBackup("it does not begin with a manifest")
    content = tar.extractfile(member)
    try:
        fields = json.loads(content.read() if content else b"")
        if fields["format"] != FORMAT:
            raise BadBackup(f"its format is {fields['format']}, and this version knows {FORMAT}")
        fields["files"] = {name: (str(digest), int(size)) for name, (digest, size) in fields["files"].items()}
        manifest = Manifest(**fields)
    except (ValueError, KeyError, TypeError):
        raise BadBackup("its manifest cannot be read") from None
    if DATABASE not in manifest.files:
        raise BadBackup("its manifest names no database")
    return manifest


def _unpack_member(tar: tarfile.TarFile, member: tarfile.TarInfo, manifest: Manifest, directory: Path) -> bool:
    """Writes one file. Names come from the manifest only, so that none leads out of the directory."""
    listed = manifest.files.get(member.name)
    content = tar.extractfile(member) if member.isreg() and listed and ".." not in member.name else None
    if content is None or listed is None:
        raise BadBackup(f"it has {member.name!r}, which its manifest does not list")
    with _new_file(unpacked(directory, member.name)) as file:
        digest = copy_with_digest(content.read, file)
    if (digest, member.size) != listed:
        raise BadBackup(f"{member.name} in it is damaged: its SHA-256 is not the one of the manifest")
    return True


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file


def copy_with_digest(read: Callable[[int], bytes], target: BinaryIO | None = None) -> str:
    """Copies everything that `read` returns. Returns its SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    while block := read(BLOCK):
        digest.update(block)
        if target is not None:
            target.write(block)
    return digest.hexdigest()


def sum_of(path: Path) -> tuple[str, int]:
    """Returns a file's SHA-256 and size. Raises OSError."""
    with path.open("rb") as file:
        return copy_with_digest(file.read), path.stat().st_size


def sync_directory(directory: Path) -> None:
    """Makes the names in a directory survive a loss of power."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
