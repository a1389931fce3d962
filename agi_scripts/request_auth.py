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


def is_authentic(tokens: Collection[str], mac: str, unique_id: str, script: str, arguments: Collection[str]) -> bool:
    """Returns whether `mac` was computed with one of the tokens, in a time that does not depend on the answer."""
    parts = (unique_id, script, *arguments)
    if any("," in each for each in parts):
        return False  # with a comma inside a part, two different requests would have the same text and MAC
    return authentication.is_authentic(tokens, ",".join(parts), mac)
