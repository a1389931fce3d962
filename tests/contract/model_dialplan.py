"""Carries out the real dialplan, one line after the other, on the channels of the model of Asterisk.

It knows the applications, functions and operators that a bridged call comes by. What Asterisk does in them is the
model's part, see `Applications`.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from operator import eq, ge, gt, le, lt, ne
from pathlib import Path
from typing import Protocol, TypeAlias
from urllib.parse import quote

from engine.config.tuning import ENGINES_SECONDS
from engine.domain.failover import final_answers_pattern

FILE = Path(__file__).parents[2] / "asterisk_conf/drop_in/extensions_rented_numbers.conf"
TOKEN = "0123456789abcdef"
# Two engines, each with its share of the time.
ENGINES = ("first:4573", "second:4573")
ENGINE_SECONDS = ENGINES_SECONDS / len(ENGINES)
SETTINGS = {
    "agi_token": TOKEN,
    "engines": "&".join(ENGINES),
    "engine_seconds": f"{ENGINE_SECONDS:g}",
    "final_answers": final_answers_pattern(),
    "most_asking": "1",
    "most_speaking": "1",
    "most_undecided": "2",
    "prompts": "/prompts",
}
# The extension of what happens at a time-out.
AT_TIMEOUT = "T"

_LINE = re.compile(r"(?:exten => ([^,]+),1|\s+same => n(?:\((\w+)\))?),(\w+)\((.*)\)")
_CALL = re.compile(r"(\w+)\((.*)\)((?::-?\d+)*)", re.DOTALL)
_COMPARISON = re.compile(r"(.*?) (!?=|[<>]=?) (.*)", re.DOTALL)
_ARITHMETIC = re.compile(r"(-?\d+) ([+-]) (-?\d+)")
_REGEX = re.compile(r'"([^"]*)" (.*)', re.DOTALL)


@dataclass(frozen=True)
class Line:
    label: str
    application: str
    data: str


@dataclass(eq=False)
class Channel:
    """A channel. `hung_up`: it leaves the dialplan before its next line."""

    name: str
    unique_id: str
    variables: dict[str, str] = field(default_factory=dict)
    hung_up: bool = False
    # When the channel must end, by the wall clock, as Asterisk stores it.
    cut_at: int | None = None

    def __post_init__(self) -> None:
        self.variables |= {"CHANNEL": self.name, "UNIQUEID": self.unique_id}


class HungUp(Exception):
    """The channel leaves the dialplan."""


class TimedOut(Exception):
    """The channel's time is over while an application runs."""


class Applications(Protocol):
    """What Asterisk does."""

    async def before(self, channel: Channel, line: Line) -> None:
        """Waits for the channel's next turn."""

    async def run(self, channel: Channel, application: str, data: str) -> None:
        """Runs an application that is not part of the language."""

    def assign(self, channel: Channel, function: str, argument: str, value: str) -> None:
        """Sets the value of a function."""

    def function(self, channel: Channel, name: str, argument: str) -> str:
        """Returns the value of a function."""


OPERATORS: dict[str, Callable[..., bool]] = {"=": eq, "!=": ne, "<": lt, ">": gt, "<=": le, ">=": ge}
Part: TypeAlias = "str | tuple[str, tuple[Part, ...]]"


@cache
def contexts() -> dict[str, list[Line]]:
    """Returns the lines of each context of the dialplan."""
    return parsed(FILE.read_text())


def parsed(text: str) -> dict[str, list[Line]]:
    """Returns the lines of each context, with the model's settings. Those of a time-out come last, labelled so."""
    found: dict[str, list[Line]] = {}
    for name, value in SETTINGS.items():
        text = text.replace(f"@{name}@", value)
    name, first = "", ""
    for row in text.splitlines():
        if row.startswith("["):
            name, first = row.strip("[]"), ""
            found[name] = []
        elif match := _LINE.match(row):
            extension, label, application, data = match.groups()
            first = first or extension
            if extension and extension != first:
                if extension != AT_TIMEOUT:
                    continue  # h, which no context has that the model runs
                label = AT_TIMEOUT
            found[name].append(Line(label or "", application, data))
        elif first and row.startswith("exten"):
            raise AssertionError(row)
    return found


async def run(channel: Channel, context: str, applications: Applications, *, start: int = 0) -> None:
    """Carries out a context from a line on, until it returns.

    Raises:
        HungUp: The channel has ended.
    """
    lines, at = contexts()[context], start
    while at < len(lines):
        line = lines[at]
        await applications.before(channel, line)
        data = expand(line.data, lambda name, argument: _value(channel, name, argument, applications))
        at += 1
        if line.application == "Return":
            return
        if line.application == "GosubIf":
            condition, _, target = data.rpartition("?")
            if condition not in {"", "0"}:
                await run(channel, target.partition(",")[0], applications)
        elif line.application in {"Goto", "GotoIf"}:
            condition, _, target = data.rpartition("?")
            if line.application == "Goto" or condition not in {"", "0"}:
                at = _labelled(lines, target.removeprefix(f"{context},0,"))
        elif line.application == "Set":
            _set(channel, data, applications)
        else:
            try:
                await applications.run(channel, line.application, data)
            except TimedOut:
                at = _labelled(lines, AT_TIMEOUT)


def _labelled(lines: list[Line], label: str) -> int:
    return next(index for index, each in enumerate(lines) if each.label == label)


def _set(channel: Channel, data: str, applications: Applications) -> None:
    name, _, value = data.partition("=")
    if match := _CALL.fullmatch(name):
        applications.assign(channel, match[1], match[2], value)
    else:
        channel.variables[name] = value


def _value(channel: Channel, name: str, argument: str | None, applications: Applications) -> str:
    if name == "EPOCH":
        return applications.function(channel, name, "")
    if argument is None:
        return channel.variables.get(name, "")
    if name == "CUT":
        variable, _, cut = argument.partition(",")
        return _piece(channel.variables.get(variable, ""), *cut.split(","))
    if name == "STRREPLACE":
        variable, old, new = argument.split(",")
        return channel.variables[variable].replace(old, new)
    if name in TEXT_FUNCTIONS:
        return TEXT_FUNCTIONS[name](argument)
    return applications.function(channel, name, argument)


def _filter(argument: str) -> str:
    allowed, _, text = argument.partition(",")
    return re.sub(f"[^{allowed}]", "", text)


def _uri_encode(text: str) -> str:
    return quote(text, safe="-_.!~*'()")


def _regex(argument: str) -> str:
    match = _REGEX.fullmatch(argument)
    assert match is not None, argument
    return str(int(re.search(match[1], match[2]) is not None))


def _if(argument: str) -> str:
    condition, _, choice = argument.partition("?")
    yes, _, no = choice.partition(":")
    return yes if condition not in {"", "0"} else no


def _length(argument: str) -> str:
    return str(len(argument))


def _sha1(argument: str) -> str:
    return hashlib.sha1(argument.encode()).hexdigest()  # noqa: S324  as the dialplan does


TEXT_FUNCTIONS = {
    "FILTER": _filter,
    "IF": _if,
    "LEN": _length,
    "REGEX": _regex,
    "SHA1": _sha1,
    "URIENCODE": _uri_encode,
}


def _piece(text: str, delimiter: str, fields: str) -> str:
    """Returns one field of a text, or it and all after it."""
    first, dash, _ = fields.partition("-")
    parts = text.split(delimiter)[int(first) - 1 :]
    return delimiter.join(parts if dash else parts[:1])


def expand(text: str, value: Callable[[str, str | None], str]) -> str:
    """Replaces variables, functions and expressions."""
    return _join(_parse(text), value)


def _join(parts: tuple[Part, ...], value: Callable[[str, str | None], str]) -> str:
    return "".join([each if isinstance(each, str) else _one(each[0], each[1], value) for each in parts])


def _one(kind: str, inner: tuple[Part, ...], value: Callable[[str, str | None], str]) -> str:
    text = _join(inner, value)
    if kind == "[":
        if match := _ARITHMETIC.fullmatch(text):
            return str(int(match[1]) + int(match[3]) * (1 if match[2] == "+" else -1))
        return str(int(any(all(_holds(each) for each in part.split(" & ")) for part in text.split(" | "))))
    if match := _CALL.fullmatch(text):
        return _cut(value(match[1], match[2]), match[3])
    name, colon, cut = text.partition(":")
    return _cut(value(name, None), colon + cut)


def _holds(text: str) -> bool:
    match = _COMPARISON.fullmatch(text.strip())
    assert match is not None, text
    left, operator, right = match.groups()
    numbers = re.fullmatch(r"-?\d+", left) and re.fullmatch(r"-?\d+", right)
    return OPERATORS[operator](*((int(left), int(right)) if numbers else (left, right)))


def _cut(text: str, places: str) -> str:
    if not places:
        return text
    first, *length = [int(place) for place in places[1:].split(":")]
    return text[first:][: length[0]] if length else text[first:]


@cache
def _parse(text: str) -> tuple[Part, ...]:
    parts, end = _parts(text, 0, "")
    assert end == len(text), text
    return parts


def _parts(text: str, at: int, closing: str) -> tuple[tuple[Part, ...], int]:
    """Parses up to the closing bracket. Returns the parts and the place behind it."""
    found: list[Part] = []
    plain = ""
    while at < len(text) and text[at] != closing:
        if text[at : at + 2] in {"${", "$["}:
            inner, end = _parts(text, at + 2, {"{": "}", "[": "]"}[text[at + 1]])
            found += [plain, (text[at + 1], inner)]
            plain, at = "", end
        else:
            plain, at = plain + text[at], at + 1
    return (*found, plain), at + len(closing)
