r"""Encrypts a stream with a passphrase, in chunks that are each authenticated.

Format, all numbers big-endian:

    b"rented-numbers encrypted 1\n" · log2(N) of scrypt, 1 byte · salt, 16 bytes · chunks

The key is scrypt(passphrase, salt, N, r=8, p=1), 32 bytes. A chunk is AES-256-GCM of up to 64 KiB, with a tag of 16
bytes; all chunks but the last are full. The nonce of chunk n is n as 11 bytes, then 1 for the last chunk and 0 for the
others, so that chunks can be neither swapped nor cut off (STREAM, https://eprint.iacr.org/2015/189). The header is the
additional data of every chunk. A key encrypts one file, so a nonce never comes twice.
"""

import hashlib
import io
import os
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.domain.errors import RentedNumbersError

MAGIC = b"rented-numbers encrypted 1\n"
CHUNK, TAG, SALT = 64 * 1024, 16, 16
# 128 MB and about half a second for each passphrase that is tried: OWASP's recommendation.
LOG_N = 17
# A header that asks for more memory is not ours.
MAX_LOG_N = 20
MIN_PASSPHRASE = 12


class WrongPassphrase(RentedNumbersError):
    """The passphrase is wrong, or the file was changed: the two cannot be told apart."""


class _Cipher:
    def __init__(self, passphrase: str, header: bytes) -> None:
        log_n, salt = header[len(MAGIC)], header[len(MAGIC) + 1 :]
        key = hashlib.scrypt(passphrase.encode(), salt=salt, n=1 << log_n, r=8, p=1, maxmem=(1 << 31) - 1, dklen=32)
        self._aead = AESGCM(key)
        self._header = header
        self._count = 0

    def _nonce(self, *, last: bool) -> bytes:
        nonce = self._count.to_bytes(11, "big") + bytes([last])
        self._count += 1
        return nonce

    def encrypt(self, chunk: bytes, *, last: bool) -> bytes:
        return self._aead.encrypt(self._nonce(last=last), chunk, self._header)

    def decrypt(self, chunk: bytes, *, last: bool) -> bytes:
        try:
            return self._aead.decrypt(self._nonce(last=last), chunk, self._header)
        except InvalidTag:
            raise WrongPassphrase("the passphrase is wrong, or the file is damaged") from None


class EncryptedWriter(io.RawIOBase):
    """Encrypts what is written to it. `close` writes the last chunk, and leaves the file below open."""

    def __init__(self, file: BinaryIO, passphrase: str, log_n: int = LOG_N) -> None:
        header = MAGIC + bytes([log_n]) + os.urandom(SALT)
        self._cipher = _Cipher(passphrase, header)
        self._file = file
        self._waiting = bytearray()
        file.write(header)

    def writable(self) -> bool:
        """Returns True."""
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]  # tarfile writes bytes
        """Takes data; whole chunks are written at once."""
        self._waiting += data
        while len(self._waiting) > CHUNK:  # the last chunk is not known before `close`
            self._file.write(self._cipher.encrypt(bytes(self._waiting[:CHUNK]), last=False))
            del self._waiting[:CHUNK]
        return len(data)

    def close(self) -> None:
        """Writes the last chunk."""
        if not self.closed:
            self._file.write(self._cipher.encrypt(bytes(self._waiting), last=True))
        super().close()


class EncryptedReader(io.RawIOBase):
    """Decrypts a file. Nothing of a chunk is returned before it is authenticated.

    Raises:
        WrongPassphrase: In `__init__` or `readinto`.
    """

    def __init__(self, file: BinaryIO, passphrase: str) -> None:
        header = file.read(len(MAGIC) + 1 + SALT)
        if not header.startswith(MAGIC) or len(header) != len(MAGIC) + 1 + SALT or header[len(MAGIC)] > MAX_LOG_N:
            raise WrongPassphrase("the file is not an encrypted backup, or its header is damaged")
        self._cipher = _Cipher(passphrase, header)
        self._file = file
        self._next = file.read(CHUNK + TAG)
        self._ready = b""
        self._at_end = False
        self._decrypt()  # so that a wrong passphrase shows at once

    def readable(self) -> bool:
        """Returns True."""
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # as the io module calls it
        """Reads decrypted bytes."""
        if not self._ready and not self._at_end:
            self._decrypt()
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _decrypt(self) -> None:
        chunk, self._next = self._next, self._file.read(CHUNK + TAG)
        self._at_end = not self._next
        self._ready = self._cipher.decrypt(chunk, last=self._at_end)


def is_encrypted(beginning: bytes) -> bool:
    """Returns whether a file that begins with these bytes is encrypted."""
    return beginning.startswith(MAGIC)
