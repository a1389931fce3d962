"""Request authentication: each AGI request shows that it comes from one of our Asterisks, without sending the token.

The last AGI argument is a MAC that the dialplan computes: `SHA1(token,unique id,script,arguments)` in hexadecimal, with
the commas as they stand here. Asterisk prints AGI arguments on its console and, at high log levels, in its log; whoever
reads them there gets a MAC for this one request, and never the token.

SHA-1 alone would allow a length extension: from a known MAC, the MAC of a longer request. The extension has NUL bytes
in it, and an environment with a NUL is refused.
"""

import hashlib
import hmac
from collections.abc import Collection, Iterable


def request_mac(token: str, unique_id: str, script: str, arguments: Iterable[str]) -> str:
    """Computes the MAC of a request as the dialplan does, in hexadecimal.

    Args:
        token: The secret that an Asterisk and the engine share.
        unique_id: The unique id of the channel.
        script: The AGI path, such as `route`.
        arguments: The AGI arguments before the MAC.
    """
    request = ",".join((token, unique_id, script, *arguments))
    return hashlib.sha1(request.encode()).hexdigest()  # noqa: S324  the dialplan has no other; collisions do not matter


def is_authentic(tokens: Collection[str], mac: str, unique_id: str, script: str, arguments: Collection[str]) -> bool:
    """Returns whether `mac` was computed with one of the tokens, in a time that does not depend on the answer."""
    if any("," in each for each in (unique_id, script, *arguments)):
        return False  # with a comma inside a part, two different requests would have the same text and MAC
    matches = [
        hmac.compare_digest(request_mac(token, unique_id, script, arguments).encode(), mac.encode()) for token in tokens
    ]
    return any(matches)
