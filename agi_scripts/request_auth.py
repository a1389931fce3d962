"""Request authentication: each AGI request shows that it comes from one of our Asterisks.

The last AGI argument is a MAC of `unique id,script,arguments`, with the commas as they stand here.
engine/runtime/authentication.py explains it; an environment with a NUL, which a length extension has, is refused.
"""

from collections.abc import Collection, Iterable

from engine.runtime import authentication


def request_mac(token: str, unique_id: str, script: str, arguments: Iterable[str]) -> str:
    """Computes the MAC of a request as the dialplan does, in hexadecimal.

    Args:
        token: The secret that an Asterisk and the engine share.
        unique_id: The unique id of the channel.
        script: The AGI path, such as `route`.
        arguments: The AGI arguments before the MAC.
    """
    return authentication.mac_of(token, ",".join((unique_id, script, *arguments)))


def token_of(tokens: Collection[str], mac: str, unique_id: str, script: str, arguments: Collection[str]) -> str | None:
    """Returns the token that `mac` was computed with, in a time that does not depend on the answer; None if no one."""
    parts = (unique_id, script, *arguments)
    if any("," in each for each in parts):
        return None  # with a comma inside a part, two different requests would have the same text and MAC
    return authentication.token_of(tokens, ",".join(parts), mac)
