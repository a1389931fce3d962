"""How a request shows that it comes from an Asterisk of ours, without ever telling the token that it shares with us.

The dialplan makes it: the last AGI argument is `SHA1(token,unique id,script,arguments)`, in hexadecimal, the commas as
they stand there. So what Asterisk prints of its arguments, at high log levels or on its console, is good for this one
request only. The hash cannot be lengthened into that of another request: what would have to stand in between are NULs,
which no environment may have.
"""

import hashlib
import hmac
from collections.abc import Collection, Iterable


def request_mac(token: str, unique_id: str, script: str, arguments: Iterable[str]) -> str:
    request = ",".join((token, unique_id, script, *arguments))
    return hashlib.sha1(request.encode()).hexdigest()  # noqa: S324  what the dialplan can; no collision helps here


def is_authentic(tokens: Collection[str], given: str, unique_id: str, script: str, arguments: Collection[str]) -> bool:
    """Whether `given` was made with one of the tokens. Takes as long for a wrong one as for a right one."""
    if any("," in each for each in (unique_id, script, *arguments)):
        return False  # as text it would be the same as another request, cut elsewhere
    matches = [
        hmac.compare_digest(request_mac(token, unique_id, script, arguments).encode(), given.encode())
        for token in tokens
    ]
    return any(matches)
