"""Keyed digests of telephone numbers, where the number itself must not be kept.

Whoever has the database without the key cannot find the number of a digest by trying all numbers, of which there are
few. The key is the pepper, which stands in a file of its own and not in backups of the database alone.
"""

import base64
import hashlib
import hmac

from engine.domain.numbers import E164
from engine.domain.times import DAY_MS

# How long a caller of a number counts as a former one after the last answered call.
FORMER_CALLER_MS = 365 * DAY_MS


def person_digest(pepper: str, number: str) -> str:
    """Returns the digest by which the revocation log names an erased number."""
    return hmac.digest(pepper.encode(), f"erased number {number}".encode(), "sha256").hex()


def reached_digest(person: str, service: E164) -> str:
    """Returns the digest of a person who has reached a rented number: 120 bits, in 20 characters.

    It differs from number to number, so that it does not show who called several of them. It follows from the digest of
    the person, so that a restore, which knows no more of an erased number than that, deletes it again.
    """
    digest = hashlib.blake2b(f"{person} reached {service}".encode(), digest_size=15).digest()
    return base64.urlsafe_b64encode(digest).decode()
