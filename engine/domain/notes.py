"""What customers note on a booking for their own use: a label, and metadata that their callbacks repeat."""

import json
import re
from collections.abc import Mapping

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
    """Returns JSON with sorted keys and no blanks, so that equal metadata always gives equal text."""
    return json.dumps(metadata, sort_keys=True, separators=(",", ":"))


def pair_in_text(key: str, value: str) -> str:
    """Returns the text of one pair as it appears in `as_text`, to search for it.

    Nothing else in `as_text` can contain this text: JSON escapes a quote inside a value with a backslash, and no key
    has quotes or backslashes.
    """
    return as_text({key: value})[1:-1]
