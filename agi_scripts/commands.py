"""Encodes what is sent to Asterisk: a text becomes exactly one command with that meaning, or UnsafeValue."""

import re
from collections.abc import Sequence

from agi_scripts.errors import UnsafeValue

# Asterisk splits a line of more than 8191 bytes into bogus commands, and cuts what a dialplan function returns at 4095.
MAX_LINE = 8191
# The longest value has the ways to a hidden number over as many trunks as there may be.
MAX_VALUE = 2048
# The name of a variable, or a function with one word as argument that can be set like one: TIMEOUT(absolute).
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}(\([a-z]{1,32}\))?")
# Printable ASCII without quote, backslash, `$` and backquote: nothing that ends the value or is evaluated later.
_VALUE = re.compile(rf"[ !#%-\[\]-_a-~]{{0,{MAX_VALUE}}}")
# The dialplan function ARRAY() would end a value at a comma, and treats brackets as a group that contains commas.
_SEPARATING = re.compile(r"[,()\[\]]")


def set_variables(variables: Sequence[tuple[str, str]]) -> str:
    """Encodes the command that sets all variables at once.

    One round trip sets them all, so the caller cannot hang up between two of them.

    Args:
        variables: Names and values, in the order in which Asterisk sets them.

    Returns:
        The command without its line end.

    Raises:
        UnsafeValue: A name or a value must not go into a command.
    """
    for name, _ in variables:
        if not _NAME.fullmatch(name):
            raise UnsafeValue("a variable's name is not allowed in an AGI command")
    if len(variables) == 1:
        [(name, value)] = variables
        return f'SET VARIABLE {name} "{_checked(value)}"'
    if any(_SEPARATING.search(value) for _, value in variables):
        raise UnsafeValue("a value with a comma or bracket is not allowed in an AGI command that sets several")
    names, values = ",".join(name for name, _ in variables), ",".join(_checked(value) for _, value in variables)
    command = f'SET VARIABLE ARRAY({names}) "{values}"'
    if len(command) >= MAX_LINE:  # its line end comes in addition
        raise UnsafeValue("an AGI command is too long for Asterisk")
    return command


def _checked(value: str) -> str:
    if not _VALUE.fullmatch(value):
        raise UnsafeValue("a value is not allowed in an AGI command")
    return value
