"""Texts with every digit as 0 to 9, however it is written: in another script, or escaped for JSON, a URL or HTML."""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Mapping
from functools import cache, lru_cache
from html import unescape
from urllib.parse import unquote

# Each alternative stands for one character, escaped once or several times. All repetitions are bounded, so that no text
# takes more than linear time.
_ESCAPES = (
    r"\\{1,16}u[dD][89abAB][0-9a-fA-F]{2}\\{1,16}u[dD][c-fC-F][0-9a-fA-F]{2}",
    r"\\{1,16}u[0-9a-fA-F]{4}",
    r"\\{1,16}[nrtbf\"/]",
    r"%(?:25){0,8}[cCdD][0-9a-fA-F]%(?:25){0,8}[89abAB][0-9a-fA-F]",
    r"%(?:25){0,8}[eE][0-9a-fA-F](?:%(?:25){0,8}[89abAB][0-9a-fA-F]){2}",
    r"%(?:25){0,8}[fF][0-4](?:%(?:25){0,8}[89abAB][0-9a-fA-F]){3}",
    r"%(?:25){0,8}[0-7][0-9a-fA-F]",  # after the longer ones, whose beginning it could be
    r"&(?:amp;){0,8}#[0-9]{1,7};",
    r"&(?:amp;){0,8}#[xX][0-9a-fA-F]{1,6};",
    r"&(?:amp;){0,8}(?:nbsp|plus);",
)
_REPEATED = re.compile(r"(?<=%)(?:25)+(?=[0-9a-fA-F]{2})|(?<=&)(?:amp;)+|\\(?=\\)")
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

    __slots__ = ("_escapes", "_original", "_places", "text")

    def __init__(self, text: str, escapes: re.Pattern[str] | None) -> None:
        self._original, self._escapes = text, escapes
        self._places: tuple[list[int], list[int]] | None = None
        self.text = text if escapes is None else escapes.sub(_unescaped, text)
        if not self.text.isascii() and _foreign().search(self.text):
            self.text = self.text.translate(_plain_characters())

    def source(self, position: int) -> int:
        """Returns the position in the original text of a position in `text`."""
        if self._escapes is None:
            return position
        if self._places is None:
            self._places = _places_of(self._escapes, self._original)
        folded, source = self._places
        index = bisect_right(folded, position) - 1
        return source[index] + position - folded[index]


def _places_of(escapes: re.Pattern[str], text: str) -> tuple[list[int], list[int]]:
    """Returns positions in the folded text, and the same in the original: before and after each escape."""
    folded, source = [0], [0]
    for match in escapes.finditer(text):
        place = folded[-1] + match.start() - source[-1]
        folded += [place, place + 1]
        source += [match.start(), match.end()]
    return folded, source


def fold(text: str) -> FoldedText:
    """Folds a text."""
    return FoldedText(text, _IN_TEXT if _MAY_ESCAPE.search(text) else None)


def fold_bytes(content: bytes) -> FoldedText:
    """Folds bytes, which may be UTF-8 in places. Positions are those of bytes."""
    text = content.decode("latin-1")
    return FoldedText(text, None if content.isascii() and not _MAY_ESCAPE.search(text) else _IN_BYTES)


def _unescaped(match: re.Match[str]) -> str:
    return _character(match[0])


@lru_cache(maxsize=4096)
def _character(escape: str) -> str:
    """Returns the character that an escape stands for; a blank if it is none."""
    escape = _REPEATED.sub("", escape)
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
    """Returns the plain digit or plus sign of each foreign one. Made at first use: that takes 20 ms."""
    digits = ((point, unicodedata.digit(chr(point), None)) for point in _CODE_POINTS)
    found = {point: str(digit) for point, digit in digits if digit is not None}
    return found | dict.fromkeys(map(ord, _PLUS_SIGNS), "+")


@cache
def _foreign() -> re.Pattern[str]:
    return re.compile(f"[{''.join(map(chr, _plain_characters()))}]")
