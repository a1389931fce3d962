"""Parses the dialplan: its steps, and the variables that each reads and sets."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from asterisk.config import Config

from engine.asterisk.config_files import TEMPLATES


@dataclass(frozen=True)
class Step:
    context: str
    exten: str
    label: str
    app: str
    data: str


@dataclass(frozen=True)
class Use:
    """A variable or function that is read. `inside`: the functions around it, innermost last."""

    name: str
    inside: tuple[str, ...]
    argument: str


class Parsed(Config):  # type: ignore[misc]  # pyst2 carries no types
    """pyst2's parser, which does not support templates and includes."""

    def load(self) -> None:
        text = (TEMPLATES / self.filename).read_text().replace(r"\;", "<semicolon>")
        lines = [re.sub(r"^(\[[^]]+\])\(.*\)$", r"\1", line) for line in text.splitlines()]
        self.raw_lines = [line for line in lines if not line.startswith(("#", "@"))]


def steps() -> list[Step]:
    found: list[Step] = []
    for category in Parsed("drop_in/extensions_rented_numbers.conf").categories:
        exten = ""
        for item in category.items:
            if item.name == "exten":
                exten, _, value = item.value.partition(",")
            else:
                assert item.name == "same", item.get_line()
                value = item.value
            match = re.fullmatch(r"(?:1|n)(?:\((\w+)\))?,(\w+)\((.*)\)", value)
            assert match, value
            found.append(Step(category.name, exten, match[1] or "", match[2], match[3]))
    return found


def uses(text: str, inside: tuple[str, ...] = ()) -> Iterator[Use]:
    """Returns every ${…} of an expression, including nested ones."""
    at = 0
    while (at := text.find("${", at)) >= 0:
        end, depth = at + 2, 1
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        body = text[at + 2 : end - 1]
        match = re.match(r"([A-Za-z0-9_]+)(?:\((.*)\))?", body)
        assert match, body
        yield Use(match[1], inside, match[2] or "")
        yield from uses(body, (*inside, match[1]))
        at = end


def arguments_of(data: str) -> list[str]:
    """Splits at the commas outside brackets."""
    parts, depth = [""], 0
    for character in data:
        depth += {"{": 1, "(": 1, "}": -1, ")": -1}.get(character, 0)
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def set_name(step: Step) -> str:
    return step.data.partition("=")[0] if step.app == "Set" else ""


def position(app: str, data: str) -> int:
    [index] = [at for at, step in enumerate(STEPS) if step.app == app and data in step.data]
    return index


STEPS = steps()
AGIS = [(at, step) for at, step in enumerate(STEPS) if step.app == "AGI"]
# That of an operator who tests a trunk concerns no caller.
[DIAL] = [arguments_of(step.data) for step in STEPS if step.app == "Dial" and step.context == "rented-numbers"]


def value_of(variable: str, at: int) -> str:
    """Returns the last assignment in the same context before step `at`."""
    name = variable.removeprefix("${").removesuffix("}")
    found = [step for step in STEPS[:at] if step.context == STEPS[at].context and set_name(step) == name]
    return found[-1].data.partition("=")[2]


def steps_of(context: str) -> list[Step]:
    return [step for step in STEPS if step.context == context]


REPORT_WITH_MAC = "${RN_REPORT} ${SHA1(@agi_token@,${RN_REPORT})}"
