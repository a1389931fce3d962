"""How Asterisk reads text: how res_agi.c splits a command into words, and how the dialplan inserts variables."""

import re
from collections.abc import Mapping

MAX_WORDS = 128
# Asterisk reads a command into a buffer of this size and takes the rest for the next command.
MAX_LINE = 8191


def lines_of(wire: bytes) -> list[bytes]:
    """Returns the commands that Asterisk reads from the bytes sent."""
    return [line[at : at + MAX_LINE] for line in wire.split(b"\n")[:-1] for at in range(0, max(len(line), 1), MAX_LINE)]


def words_of(line: bytes) -> list[bytes]:
    """Splits words as parse_args does: quotes group, a backslash escapes the next byte, a NUL ends the line."""
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
    """Replaces `${NAME}` once, as the dialplan does before an application gets its arguments."""
    return re.sub(r"\$\{(\w+)\}", lambda match: variables.get(match[1], ""), text)
