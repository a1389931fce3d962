"""The one encoder of what is sent to Asterisk: a text becomes exactly one command that means it, or UnsafeValue."""

import re
from collections.abc import Sequence

from agi_scripts.errors import UnsafeValue

# Asterisk splits a line of more than 8191 bytes into bogus commands.
MAX_VALUE = 256
# A variable, or a function of one word that can be set like one: TIMEOUT(absolute).
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}(\([a-z]{1,32}\))?")


# Printable ASCII without quote, backslash, `$` and backquote: nothing that ends the value or is evaluated later.
_VALUE = re.compile(rf"[ !#%-\[\]-_a-~]{{0,{MAX_VALUE}}}")
# What ARRAY() would take for the end of a value, or for the beginning of something that has commas in it.
_SEPARATING = re.compile(r"[,()\[\]]")


def set_variables(variables: Sequence[tuple[str, str]]) -> str:
    """The command that sets them all, in that order, without its line end. Raises UnsafeValue.

    One round trip for all, in which nobody can hang up between two of them.
    """
    for name, _ in variables:
        if not _NAME.fullmatch(name):
            raise UnsafeValue("a name that may not go into an AGI command")
    if len(variables) == 1:
        [(name, value)] = variables
        return f'SET VARIABLE {name} "{_safe(value)}"'
    if any(_SEPARATING.search(value) for _, value in variables):
        raise UnsafeValue("a value that may not stand among others in an AGI command")
    names, values = ",".join(name for name, _ in variables), ",".join(_safe(value) for _, value in variables)
    return f'SET VARIABLE ARRAY({names}) "{values}"'


def _safe(text: str) -> str:
    if not _VALUE.fullmatch(text):
        raise UnsafeValue("a value that may not go into an AGI command")
    return text
