"""Reads the configuration files of an Asterisk that is there already, with pyst2's parser.

pyst2 reads sections and their options. It knows no includes, no templates, no comments over several lines and no
escaped semicolons, so this module resolves these first.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from asterisk.config import Config, ParseError

MAX_DEPTH = 10
MAX_LINES = 100_000
_INCLUDE = re.compile(r"#(include|tryinclude)\s+[\"<]?([^\">]+?)[\">]?")
# A section's name, and in brackets: `!` for a template, `+` for more of a section, names of templates.
_SECTION = re.compile(r"(\[[^\]]+\])\s*\(([^)]*)\)")
_TRUE = {"yes", "true", "y", "t", "1", "on"}
# Stands for an escaped semicolon, which pyst2 would take for a comment.
_SEMICOLON = "\x00"


class UnreadableConfig(Exception):
    """A configuration file is missing, or has something in it that this module cannot read."""


class Option(NamedTuple):
    """One line of a section: the name in small letters, the value, and the name of the file that has the line."""

    name: str
    value: str
    file: str


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a configuration file.

    Attributes:
        name: Its name, without brackets.
        options: Its options in order; those of its templates come first.
        is_template: Whether it only serves as a template.
    """

    name: str
    options: tuple[Option, ...]
    is_template: bool = False

    def option(self, name: str, default: str = "") -> str:
        """Returns the last value of an option."""
        return self.values().get(name, default)

    def values(self) -> dict[str, str]:
        """Returns the last value of each option."""
        return {option.name: option.value for option in self.options}


class PresentConfig:
    """The configuration directory of an Asterisk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read = cache(self._parse)

    def sections(self, file: str) -> list[Section]:
        """Returns the sections of a file and of those that it includes. Raises UnreadableConfig."""
        return self._read(file)[0]

    def options(self, file: str, section: str) -> Section:
        """Returns a section with the options of all sections of that name. Raises UnreadableConfig."""
        found = [each for each in self.sections(file) if each.name == section]
        return Section(section, tuple(option for each in found for option in each.options))

    def has(self, file: str) -> bool:
        """Returns whether there is such a file. Raises OSError if the directory cannot be read."""
        return (self._directory / file).exists()

    def includes(self, file: str, included: Path) -> bool:
        """Returns whether a file includes another one. Raises UnreadableConfig."""
        return included.absolute() in self._read(file)[1]

    def _parse(self, file: str) -> tuple[list[Section], set[Path]]:
        reader = _Reader(self._directory)
        try:
            reader.expand(self._directory / file)
            return reader.sections(), reader.included
        except (OSError, ValueError, ParseError) as error:
            raise UnreadableConfig(f"{file}: {error}") from error


def is_true(value: str) -> bool:
    """Returns whether Asterisk takes a value for "yes"."""
    return value.lower() in _TRUE


class _Lines(Config):  # type: ignore[misc]  # pyst2 carries no types
    """pyst2's parser, fed with lines in place of a file."""

    def __init__(self, lines: list[str]) -> None:
        self._given = lines
        super().__init__("")

    def load(self) -> None:
        self.raw_lines = self._given


class _Reader:
    """Puts the lines of a file and of its includes together.

    Attributes:
        included: The included files, also those that are missing.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lines: list[str] = []
        # The file of each line.
        self._files: list[str] = []
        # What stands in brackets behind each section's name, in order.
        self._marks: list[list[str]] = []
        self.included: set[Path] = set()

    def expand(self, path: Path, depth: int = 0) -> None:
        """Raises OSError, ValueError."""
        if depth > MAX_DEPTH:
            raise ValueError("includes that include each other")
        for line in _without_comments(path.read_text(encoding="utf-8", errors="replace")):
            if line.startswith("#"):
                self._include(line, depth)
            else:
                self._add(line, path)

    def _add(self, line: str, path: Path) -> None:
        if len(self._lines) >= MAX_LINES:
            raise ValueError("too many lines")
        if line.startswith("["):
            match = _SECTION.fullmatch(line)
            self._marks.append([each.strip() for each in match[2].split(",")] if match else [])
            line = match[1] if match else line
        self._lines.append(line)
        self._files.append(str(path.relative_to(self._directory) if path.is_relative_to(self._directory) else path))

    def _include(self, line: str, depth: int) -> None:
        match = _INCLUDE.fullmatch(line)
        if match is None:
            raise ValueError(f"{line.split(maxsplit=1)[0]} cannot be followed")
        pattern = Path(match[2])
        base = self._directory if not pattern.is_absolute() else Path(pattern.anchor)
        relative = str(pattern.relative_to(pattern.anchor) if pattern.is_absolute() else pattern)
        found = sorted(base.glob(relative))
        self.included.update(path.absolute() for path in found or [base / relative])
        if not found and match[1] == "include" and "*" not in relative:
            raise ValueError(f"{match[2]} is missing")
        for path in found:
            self.expand(path, depth + 1)

    def sections(self) -> list[Section]:
        """Raises ParseError."""
        found: list[Section] = []
        for category, marks in zip(_Lines(self._lines).categories, self._marks, strict=True):
            own = tuple(
                Option(item.name.lower(), _value(item.value), self._files[item.number - 1]) for item in category.items
            )
            templates = [each for each in found if each.name in marks]
            inherited = tuple(option for each in templates for option in each.options)
            found.append(Section(category.name, inherited + own, "!" in marks))
        return found


def _value(text: str) -> str:
    return text.strip().replace(_SEMICOLON, ";")


def _without_comments(text: str) -> Iterator[str]:
    """Yields the lines without comments, also those of the form `;-- … --;`, and without white space around them."""
    inside = False
    for line in text.splitlines():
        kept, rest = "", line.replace("\\;", _SEMICOLON)
        while rest:
            if inside:
                _, end, rest = rest.partition("--;")
                inside = not end
                continue
            text_before, mark, comment = rest.partition(";")
            kept += text_before
            inside = comment.startswith("--") and not comment.startswith("---")
            rest = comment[2:] if mark and inside else ""
        if kept.strip():
            yield kept.strip()
