"""What Asterisk makes of text: how res_agi.c cuts a command into words, and how the dialplan puts variables in."""

import re
from collections.abc import Mapping

MAX_WORDS = 128
# Asterisk reads a command into a buffer of this size, and takes what does not fit for the next one.
MAX_LINE = 8191


def lines_of(wire: bytes) -> list[bytes]:
    """The commands that Asterisk reads from what was sent."""
    return [line[at : at + MAX_LINE] for line in wire.split(b"\n")[:-1] for at in range(0, max(len(line), 1), MAX_LINE)]


def words_of(line: bytes) -> list[bytes]:
    """As parse_args: quotes group, a backslash takes the next byte as it is, what is a NUL ends the line."""
    words: list[bytearray] = []
    quoted = escaped = False
    blank = True
    for byte in line.partition(b"\0")[0]:
        if byte == ord('"') and not escaped:
            quoted = not quoted
            if quoted and blank:
                words.append(bytearray())
                blank = False
        elif byte in b" \t" and not quoted and not escaped:
            blank = True
        elif byte == ord("\\") and not escaped:
            escaped = True
        else:
            if blank:
                words.append(bytearray())
                blank = False
            words[-1].append(byte)
            escaped = False
    return [bytes(word) for word in words[:MAX_WORDS]]


def substituted(text: str, variables: Mapping[str, str]) -> str:
    """`${NAME}` replaced, once, as the dialplan does before an application sees its arguments."""
    return re.sub(r"\$\{(\w+)\}", lambda match: variables.get(match[1], ""), text)
