"""What customers note on a booking for their own use: a label, and metadata that their callbacks repeat."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping

from engine.domain.ids import AccountId

MAX_PAIRS = 20
MAX_VALUE = 500
MAX_LABEL = 100
# No control characters, line ends or direction marks: with those, a list could display as a different list.
LABEL = re.compile(
    r"[^\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]" + f"{{1,{MAX_LABEL}}}"
)
KEY = re.compile(r"[A-Za-z0-9_.-]{1,40}")
# PostgreSQL cannot store NUL. JSON can write a lone surrogate, UTF-8 cannot.
UNFIT = re.compile(r"[\x00\ud800-\udfff]")

Metadata = Mapping[str, str]


def is_value(text: str) -> bool:
    """Returns whether `text` is allowed as a metadata value: not too long, no NUL, no lone surrogate."""
    return len(text) <= MAX_VALUE and UNFIT.search(text) is None


def as_text(metadata: Metadata) -> str:
    """Returns JSON with sorted keys and no blanks, so that equal metadata always gives equal text.

    Characters are not escaped, because an escape is up to six times as long.
    """
    return json.dumps(metadata, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def label_digest(account_id: AccountId, label: str) -> str:
    """Returns the digest by which an account's bookings with that label are found."""
    return _digest(account_id, "", label)  # no key of metadata is empty


def pair_digest(account_id: AccountId, key: str, value: str) -> str:
    """Returns the digest by which an account's bookings with that pair of metadata are found."""
    return _digest(account_id, key, value)


def digests(account_id: AccountId, label: str, metadata: Metadata) -> frozenset[str]:
    """Returns the digests of a label, unless it is empty, and of all pairs of metadata."""
    pairs = {pair_digest(account_id, key, value) for key, value in metadata.items()}
    return frozenset(pairs | ({label_digest(account_id, label)} if label else set()))


def _digest(account_id: AccountId, key: str, value: str) -> str:
    """Returns 20 characters, however long the value is.

    120 bits: a customer who finds two notes with one digest has spent 2^60 steps to list his own bookings wrongly.
    """
    text = json.dumps([account_id, key, value])
    return base64.urlsafe_b64encode(hashlib.blake2b(text.encode(), digest_size=15).digest()).decode()
