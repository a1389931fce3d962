"""What the documents say is what the code has."""

import re
import textwrap
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from engine.cli import app
from engine.config.settings import CONFIG_FILE, Settings

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
LINK = re.compile(r"\]\((?!https?:|#)([^)]+)\)")


def _shown(value: object) -> str:
    if isinstance(value, timedelta):
        return str(TypeAdapter(timedelta).dump_python(value, mode="json"))
    if isinstance(value, list):
        return "[" + ", ".join(f'"{each}"' if isinstance(each, str) else _shown(each) for each in value) + "]"
    if value is None:
        return "unset"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _row(name: str, default: object, meaning: str | None) -> str:
    shown = f" `{_shown(default)}` " if _shown(default) else " "
    return f"| `{name}` |{shown}| {meaning} |"


def _settings_rows() -> list[str]:
    rows = []
    for name, field in Settings.model_fields.items():
        if name != "plans":
            rows.append(_row(name.upper(), field.default, field.description))
            continue
        for plan, chosen in field.default:
            rows += [
                _row(f"PLANS__{plan.upper()}__{part.upper()}", value, type(chosen).model_fields[part].description)
                for part, value in chosen
            ]
    return rows


def test_every_setting_stands_in_the_readme_with_its_default_and_meaning() -> None:
    table = README.partition("| `RENTED_NUMBERS_…` |")[2]
    assert [line for line in table.splitlines() if line.startswith("| `")] == _settings_rows()


def test_the_readmes_file_of_settings_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [block] = re.findall(r"As a file:\n\n((?:    .*\n|\n)+)", README)
    monkeypatch.chdir(tmp_path)
    (tmp_path / CONFIG_FILE).write_text(textwrap.dedent(block))
    settings = Settings()
    assert (settings.http_port, settings.plans.small.seconds, settings.plans.small.calls) == (8081, 600, 25)


def test_every_link_of_every_document_leads_somewhere() -> None:
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    dead = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in documents
        for target in LINK.findall(document.read_text())
        if not (document.parent / target.partition("#")[0]).exists()
    ]
    assert dead == []


def test_every_command_group_stands_in_the_readme() -> None:
    groups = {str(group.name) for group in app.registered_groups}
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    assert [name for name in sorted(groups | commands) if name not in README] == []


def test_every_make_target_that_the_readme_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)`|^    make ([a-z-]+)", README, re.MULTILINE))
    assert {first or second for first, second in named} <= targets


def test_decision_records_are_numbered_without_gaps_and_have_their_parts() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for record in records:
        assert "**Context.**" in record.read_text(), record.name
        assert "**Decision.**" in record.read_text(), record.name


def test_every_test_that_a_document_names_is_there() -> None:
    named = {
        name
        for document in (ROOT / "docs").rglob("*.md")
        for name in re.findall(r"tests/[a-z0-9_/]+\.py", document.read_text())
    }
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
