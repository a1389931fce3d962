"""The one encoder of what is sent to Asterisk: a text becomes exactly one command that means it, or UnsafeValue."""

import re

from agi_scripts.errors import UnsafeValue

# Asterisk splits a line of more than 8191 bytes into bogus commands.
MAX_VALUE = 256
# A variable, or a function of one word that can be set like one: TIMEOUT(absolute).
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}(\([a-z]{1,32}\))?")


def set_variable(name: str, value: str) -> str:
    """The command, without its line end. Raises UnsafeValue."""
    if not _NAME.fullmatch(name):
        raise UnsafeValue("a name that may not go into an AGI command")
    return f'SET VARIABLE {name} "{_safe(value)}"'


def _safe(text: str) -> str:
    """No control character, quote or backslash, and no `$`: nothing that ends the value or is evaluated later."""
    if len(text) > MAX_VALUE or not text.isascii() or not text.isprintable() or any(c in '"\\$`' for c in text):
        raise UnsafeValue("a value that may not go into an AGI command")
    return text
