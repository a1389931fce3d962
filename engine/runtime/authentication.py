"""Authenticates the requests and reports of an Asterisk, which do not contain the token that both sides know.

The dialplan computes a MAC: `SHA1(token,text)` in hexadecimal. Asterisk prints arguments on its console and, at high
log levels, in its log: people who read them there get a MAC for this one text, and never the token.

SHA-1 alone would allow a length extension: from a known MAC, the MAC of a longer text. The extension has bytes in it
that are not text, so the code that checks a MAC must refuse such texts.
"""

import hashlib
import hmac
from collections.abc import Iterable


def mac_of(token: str, text: str) -> str:
    """Computes the MAC of a text as the dialplan does, in hexadecimal."""
    return hashlib.sha1(f"{token},{text}".encode()).hexdigest()  # noqa: S324  the dialplan has no other; collisions do not matter


def token_of(tokens: Iterable[str], text: str, mac: str) -> str | None:
    """Returns the token that `mac` was computed with, in a time that does not depend on the answer; None if no one."""
    found = None
    for token in tokens:
        if hmac.compare_digest(mac_of(token, text).encode(), mac.encode()):
            found = token
    return found


def is_authentic(tokens: Iterable[str], text: str, mac: str) -> bool:
    """Returns whether `mac` was computed with one of the tokens, in a time that does not depend on the answer."""
    return token_of(tokens, text, mac) is not None
