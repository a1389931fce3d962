"""Makes certificates for a test run: CAs, and PEM files with a certificate and its key."""

import os
from pathlib import Path

import trustme

NAME = "127.0.0.1"


class Authority:
    """A CA. `file` holds its own certificate."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory / name
        self._directory.mkdir()
        self._authority = trustme.CA()
        self.file = self._directory / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.file))

    def issue(self, name: str = NAME) -> Path:
        """Writes a certificate for the host, its chain and its key to a file that only the owner can read."""
        issued = self._authority.issue_cert(name)
        path = self._directory / f"{name}.pem"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(issued.private_key_and_cert_chain_pem.bytes())
        return path
