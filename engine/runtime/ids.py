"""Makes identifiers: a UUIDv7 (RFC 9562) behind a prefix that tells the kind. Later ids sort after earlier ones.

It also draws PINs, which nobody can foresee.
"""

import secrets

import uuid_utils

from engine.domain.times import EpochMs


def new_id(prefix: str) -> str:
    """Returns a new id, such as `bkg_01a206bf7ae277579d190ae0d5b05f1a` for the prefix `bkg`."""
    return f"{prefix}_{uuid_utils.uuid7().hex}"


def new_pin(digits: int) -> str:
    """Returns a random PIN of so many decimal digits."""
    return f"{secrets.randbelow(10**digits):0{digits}}"


def first_id(prefix: str, at: EpochMs) -> str:
    """Returns a text that no id of this kind from before the instant follows: an id begins with its 48 bits of time."""
    return f"{prefix}_{max(at, 0):012x}"
