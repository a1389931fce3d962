"""What customers note on a booking for themselves: a label, and metadata that their callbacks repeat."""

import json
import re
from collections.abc import Mapping

MAX_PAIRS = 20
MAX_VALUE = 500
MAX_LABEL = 100
# No control characters, line ends and marks of direction, with which a list could be made to read as another.
LABEL = re.compile(
    r"[^\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]" + f"{{1,{MAX_LABEL}}}"
)
KEY = re.compile(r"[A-Za-z0-9_.-]{1,40}")
# NUL and halves of characters.
UNFIT = re.compile(r"[\x00\ud800-\udfff]")

Metadata = Mapping[str, str]


def is_value(text: str) -> bool:
    """Whether metadata may say so: not NUL, which PostgreSQL does not keep, nor half a character, which JSON can write
    and UTF-8 cannot."""
    return len(text) <= MAX_VALUE and UNFIT.search(text) is None


def as_text(metadata: Metadata) -> str:
    """JSON with its keys in order and without blanks: the same pairs are always the same text."""
    return json.dumps(metadata, sort_keys=True, separators=(",", ":"))


def pair_in_text(key: str, value: str) -> str:
    """How a pair stands in `as_text`, and nothing else does: a quote inside of a value has a backslash before it, and
    no key has either."""
    return as_text({key: value})[1:-1]


def replaced(metadata: Metadata, pattern: re.Pattern[str], by: str) -> dict[str, str]:
    """With all that `pattern` finds replaced, in keys too. Of pairs whose keys become equal one stays."""
    return {pattern.sub(by, key): pattern.sub(by, value) for key, value in metadata.items()}
