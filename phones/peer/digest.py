"""The side of a carrier that asks for a user name and a password (RFC 3261 section 22, RFC 8760)."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from phones.messages import Message
from phones.peer.writing import token

HASHES: dict[str, Callable[[bytes], "hashlib._Hash"]] = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
PARAMETER = re.compile(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^",\s]+))')
# The status of a challenge, and the headers that belong to it.
CHALLENGES = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}


@dataclass
class Account:
    """A user name and a password, as the carrier knows them.

    Attributes:
        nonces: The nonces that are valid now.
        tries: How many requests had credentials, right or wrong.
    """

    user: str
    password: str
    realm: str = "carrier.example"
    algorithm: str = "MD5"
    status: int = 401
    nonces: set[str] = field(default_factory=set)
    tries: int = 0

    def challenge(self, *, stale: bool = False) -> str:
        """Returns the header line of a challenge with a new nonce."""
        nonce = token()
        self.nonces.add(nonce)
        values = f'Digest realm="{self.realm}", nonce="{nonce}", algorithm={self.algorithm}, qop="auth"'
        return f"{CHALLENGES[self.status][0]}: {values}{', stale=true' if stale else ''}"

    def is_stale(self, request: Message) -> bool:
        """Whether a request has credentials for a nonce that is not valid any more."""
        given = self._given(request)
        return bool(given) and given["nonce"] not in self.nonces

    def accepts(self, request: Message) -> bool:
        """Whether a request has the right credentials."""
        given = self._given(request)
        if not given:
            return False
        self.tries += 1
        known = (given["username"], given["realm"], given.get("algorithm", "MD5"))
        if known != (self.user, self.realm, self.algorithm) or given["nonce"] not in self.nonces:
            return False
        first = self._hash(f"{self.user}:{self.realm}:{self.password}")
        second = self._hash(f"{request.method}:{given['uri']}")
        middle = ":".join(given[name] for name in ("nonce", "nc", "cnonce", "qop"))
        return given["response"] == self._hash(f"{first}:{middle}:{second}")

    def _given(self, request: Message) -> dict[str, str]:
        text = request.header(CHALLENGES[self.status][1])
        return {name: quoted or bare for name, quoted, bare in PARAMETER.findall(text)}

    def _hash(self, text: str) -> str:
        return HASHES[self.algorithm](text.encode()).hexdigest()
