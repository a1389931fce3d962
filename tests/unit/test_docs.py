"""The documents state what the code does; links, anchors, names and generated parts are checked."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from docs.generate import command_line, site
from docs.generate.__main__ import DOCUMENTS as GENERATED
from docs.generate.__main__ import stale
from docs.generate.markdown import LINK, anchors, pieces
from engine.cli import app
from engine.config.settings import Settings
from engine.config.sources import CONFIG_FILE, CONFIG_VARIABLE, PREFIX
from engine.config.types import PlanSettings
from engine.domain.policy import UsagePlan

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [path for path in site.documents() if path.suffix == ".md"]
TEXTS = {path: path.read_text() for path in DOCUMENTS}
TREE = typer.main.get_command(app)
GROUPS = "|".join(dict.fromkeys(name.partition(" ")[0] for name in command_line.names()))


def links() -> Iterator[tuple[Path, str, str]]:
    """Yields document, target and anchor of every link within the repository."""
    for path, text in TEXTS.items():
        for piece, is_prose in pieces(text):
            for found in LINK.finditer(piece) if is_prose else ():
                if found[2] is not None and ":" not in found[3]:
                    yield path, found[3], (found[4] or "").removeprefix("#")


def test_generated_documents_are_current() -> None:
    assert stale() == [], "run `make docs-reference`"


def test_an_outdated_generated_document_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GENERATED, "docs/cli.md", lambda: "something else")
    assert stale() == ["docs/cli.md"]


@pytest.mark.parametrize("path", GENERATED)
def test_generated_documents_do_not_depend_on_the_terminal_or_the_environment(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    monkeypatch.setenv(f"{PREFIX}HTTP_PORT", "9999")
    assert GENERATED[path]() == (ROOT / path).read_text()


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    for name, field in Settings.model_fields.items():
        if name != "plans":
            assert f"\n| `{name.upper()}` |" in text
            assert f"| {' '.join((field.description or '').split())} |\n" in text
    assert text.count("\n| `PLANS__") == len(UsagePlan) * len(PlanSettings.model_fields)


def test_the_documented_settings_file_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    monkeypatch.chdir(tmp_path)
    (tmp_path / CONFIG_FILE).write_text(text.partition("```toml\n")[2].partition("```")[0])
    settings = Settings()
    assert (settings.http_port, settings.plans.small.seconds, settings.plans.small.calls) == (8081, 600, 25)


def test_every_setting_that_a_document_names_exists() -> None:
    known = {CONFIG_VARIABLE.removeprefix(PREFIX), *(name.upper() for name in Settings.model_fields)}
    named = {
        (path.name, name)
        for path, text in TEXTS.items()
        for name in re.findall(rf"{PREFIX}([A-Z][A-Z_]+)", text)
        if name not in known and not name.startswith("PLANS__")
    }
    assert named == set()


def test_every_command_is_documented() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    names = command_line.names()
    assert {"run", "numbers", "numbers import", "bookings create"} <= set(names)
    assert [name for name in names if not re.search(rf"^##+ rented-numbers {name}$", text, re.MULTILINE)] == []


def shown_commands(text: str) -> Iterator[str]:
    """Yields the lines of the command line that a document shows: after the program's name, or in a sentence alone."""
    yield from re.findall(r"rented-numbers ([a-z][^\n`|;&)]*)", text)
    yield from re.findall(rf"`((?:{GROUPS})(?: [^`\n]*)?)`", text)


def misspelt(line: str) -> set[str]:
    """The words of a line of the command line that are neither a command, where one is needed, nor an option."""
    found: Any = TREE
    words = line.partition(" #")[0].split()
    while words and words[0] in getattr(found, "commands", {}):
        found = found.commands[words.pop(0)]
    if words and getattr(found, "commands", {}):
        return {words[0]}
    options = {name for parameter in found.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return {word for word in words if word.startswith("--")} - options


def test_every_command_that_a_document_shows_exists_with_its_options() -> None:
    shown = [(path.name, line) for path, text in TEXTS.items() for line in shown_commands(text)]
    assert len(shown) > 200
    assert [(name, line, bad) for name, line in shown if (bad := misspelt(line))] == []


def test_the_operations_guide_shows_every_group_of_commands() -> None:
    used = {line.split()[0] for line in shown_commands(TEXTS[ROOT / "docs" / "operations.md"])}
    assert {name.partition(" ")[0] for name in command_line.names() if " " in name} <= used


def test_every_row_of_trouble_by_symptom_says_what_the_code_says() -> None:
    """Commands and their options exist, and what they are said to print stands in the code."""
    section = (
        (ROOT / "docs" / "operations.md").read_text().partition("\n## Trouble by symptom\n")[2].partition("\n## ")[0]
    )
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 15
    files = [path for room in ("engine", "api", "agi_scripts") for path in (ROOT / room).rglob("*.py")]
    code = "\n".join(path.read_text() for path in files)
    unsaid: list[tuple[str, str]] = []
    for symptom, command, says, _ in rows:
        words = command.strip(" `").split()
        match words[0]:
            case "rented-numbers":
                assert misspelt(" ".join(words[1:])) == set(), symptom
            case "log":
                assert re.search(rf"\b{words[1]}\b", code), symptom
            case other:
                assert other in {"curl", "tail", "nft"}, symptom
        unsaid += [(symptom, text) for text in re.findall(r"`([^`]+)`", says) if not is_said(text, code)]
    assert unsaid == []


def is_said(text: str, code: str) -> bool:
    """Whether the code has a text: as it is, as a field that JSON spells in its own way, or as a setting."""
    field = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text).lower()
    return text in code or field in code or text.lower() in Settings.model_fields


def test_every_link_leads_to_a_file() -> None:
    dead = [f"{path.relative_to(ROOT)}: {target}" for path, target, _ in links() if not (path.parent / target).exists()]
    assert dead == []


def test_every_anchor_leads_to_a_heading() -> None:
    dead = []
    for path, target, anchor in links():
        goal = (path.parent / target).resolve() if target else path
        if anchor and goal in TEXTS and anchor not in anchors(TEXTS[goal]):
            dead.append(f"{path.relative_to(ROOT)}: {target}#{anchor}")
    assert dead == []


def test_anchors_are_spelled_as_on_github() -> None:
    text = "# What there is\n\n## `GET /bookings/{id}`\n\n## Same\n\n```sh\n# no heading\n```\n\n## Same\n"
    assert anchors(text) == {"what-there-is", "get-bookingsid", "same", "same-1"}


def test_every_name_that_the_architecture_shows_in_a_file_exists() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = re.findall(r"\]\(\.\./([a-z_/]+\.py)\) `(\w+)`", text)
    assert len(named) > 5
    missing = [
        f"{path}: {name}"
        for path, name in named
        if not re.search(rf"^(?:async )?(?:def|class) {name}\b", (ROOT / path).read_text(), re.MULTILINE)
    ]
    assert missing == []


def test_the_architecture_lists_the_rooms_in_their_order() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text().partition("\n## Rooms\n")[2].partition("\n## ")[0]
    rooms = re.findall(r"^\| `([a-z_.]+)` \|", text, re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    assert rooms == [room for layer in layers for room in layer.split(" : ") if room != "engine.__main__"]


def test_the_readme_is_six_to_eight_kilobytes() -> None:
    assert len(README.encode()) <= 8_000


def test_every_make_target_that_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        first or second
        for text in TEXTS.values()
        for first, second in re.findall(r"`make ([a-z0-9-]+)[ `]|^    make ([a-z0-9-]+)", text, re.MULTILINE)
    }
    assert {"run", "test", "check", "docs"} <= named
    assert named <= targets


def test_decision_records_have_consecutive_numbers_and_all_sections() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for record in records:
        assert "**Context.**" in record.read_text(), record.name
        assert "**Decision.**" in record.read_text(), record.name


def test_every_test_that_a_document_names_exists() -> None:
    named = {name for text in TEXTS.values() for name in re.findall(r"tests/[a-z0-9_/]+\.py", text)}
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_sites_navigation_names_every_document() -> None:
    text = (ROOT / "zensical.toml").read_text()
    pages = re.findall(r'= "([^"]+\.md)"', text.partition("\nnav = [\n")[2].partition("\n]\n")[0])
    assert sorted(pages) == sorted({site.page_of(path) for path in site.documents()})


def test_the_site_contains_all_documents_and_fetches_nothing(tmp_path: Path) -> None:
    built = site.build(tmp_path)
    pages = {str(page.relative_to(built)) for page in built.rglob("*.html")}
    assert {f"{site.page_of(path).removesuffix('.md')}.html" for path in site.documents()} <= pages
    assert "source/engine/domain/routing.py.html" in pages
    assert site.foreign_pages(built) == []
    assert "rented" in (built / "search.json").read_text()


@pytest.mark.parametrize(
    "element",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="https://fonts.example/css">',
        "<img alt=a src=//cdn.example/x.png>",
        '<pre class="mermaid">',
    ],
)
def test_anything_that_a_page_would_fetch_from_elsewhere_is_found(tmp_path: Path, element: str) -> None:
    (tmp_path / "page.html").write_text(f"<html>{element}</html>")
    assert site.foreign_pages(tmp_path) == ["page.html"]
