"""Texts with every digit as 0 to 9, however it is written: in another script, or escaped for JSON, a URL or HTML."""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Mapping
from functools import cache
from html import unescape
from urllib.parse import unquote

# Each alternative stands for one character.
_ESCAPES = (
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}",
    r"\\u[0-9a-fA-F]{4}",
    r"\\[nrtbf\"/\\]",
    r"%[0-7][0-9a-fA-F]",
    r"%[cCdD][0-9a-fA-F]%[89abAB][0-9a-fA-F]",
    r"%[eE][0-9a-fA-F](?:%[89abAB][0-9a-fA-F]){2}",
    r"%[fF][0-4](?:%[89abAB][0-9a-fA-F]){3}",
    r"&#[0-9]{1,7};",
    r"&#[xX][0-9a-fA-F]{1,6};",
    r"&(?:nbsp|plus);",
)
_UTF_8 = r"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
_IN_TEXT = re.compile("|".join(_ESCAPES))
_IN_BYTES = re.compile("|".join((*_ESCAPES, _UTF_8)))
_MAY_ESCAPE = re.compile(r"[\\%&]")
_PLUS_SIGNS = "\uff0b\ufe62\u207a\u208a\u2795"
# No digit has a higher code point in Unicode 15.
_CODE_POINTS = range(0x80, 0x20000)


class FoldedText:
    """A text with plain digits, and where each of its characters comes from.

    Attributes:
        text: The text, with digits 0 to 9, `+` for every plus sign, and one character for each escape.
    """

    __slots__ = ("_folded", "_source", "text")

    def __init__(self, text: str, escapes: re.Pattern[str] | None) -> None:
        self._folded, self._source = [0], [0]
        self.text = text if escapes is None else self._without_escapes(text, escapes)
        if not self.text.isascii():
            self.text = self.text.translate(_plain_characters())

    def _without_escapes(self, text: str, escapes: re.Pattern[str]) -> str:
        parts, length, end = [], 0, 0
        for match in escapes.finditer(text):
            parts += [text[end : match.start()], _character(match[0])]
            length += match.start() - end
            self._folded += [length, length + 1]
            self._source += [match.start(), match.end()]
            length, end = length + 1, match.end()
        parts.append(text[end:])
        return "".join(parts)

    def source(self, position: int) -> int:
        """Returns the position in the original text of a position in `text`."""
        index = bisect_right(self._folded, position) - 1
        return self._source[index] + position - self._folded[index]


def fold(text: str) -> FoldedText:
    """Folds a text."""
    return FoldedText(text, _IN_TEXT if _MAY_ESCAPE.search(text) else None)


def fold_bytes(content: bytes) -> FoldedText:
    """Folds bytes, which may be UTF-8 in places. Positions are those of bytes."""
    text = content.decode("latin-1")
    return FoldedText(text, None if content.isascii() and not _MAY_ESCAPE.search(text) else _IN_BYTES)


def _character(escape: str) -> str:
    """Returns the character that an escape stands for; a blank if it is none."""
    if escape[0] == "\\":
        code = escape.encode("latin-1").decode("unicode_escape") if escape[1] == "u" else " "
        found = code.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    elif escape[0] == "%":
        found = unquote(escape)
    elif escape[0] == "&":
        found = unescape(escape)
    else:
        found = escape.encode("latin-1").decode(errors="replace")
    return found if len(found) == 1 else " "


@cache
def _plain_characters() -> Mapping[int, str]:
    """Returns the table that maps digits and plus signs to plain ones. It is made at first use: that takes 20 ms."""
    digits = ((point, unicodedata.digit(chr(point), None)) for point in _CODE_POINTS)
    return {point: str(digit) for point, digit in digits if digit is not None} | {
        ord(sign): "+" for sign in _PLUS_SIGNS
    }
