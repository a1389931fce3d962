"""What a release says of itself: its notes, and the parts of others that it holds."""

import pytest

from docs.generate.release import ROOT, notes, version, with_vendored

CHANGELOG = "# Changelog\n\n## Unreleased\n\nnew\n\n## 1.1.0 - 2026-01-02\n\n### Added\n\nlast\n\n## 1.0.0\n\nfirst\n"


@pytest.mark.parametrize(
    ("released", "text"), [("1.2.0.dev0", "new"), ("1.1.0", "### Added\n\nlast"), ("1.0.0", "first")]
)
def test_the_notes_are_the_versions_section_of_the_changelog(released: str, text: str) -> None:
    assert notes(CHANGELOG, released) == f"# Rented Numbers {released}\n\n{text}\n"


def test_a_version_that_the_changelog_does_not_know_is_not_released() -> None:
    with pytest.raises(SystemExit, match=r"no section 1\.2\.0"):
        notes(CHANGELOG, "1.2.0")
    assert notes((ROOT / "CHANGELOG.md").read_text(), version())


def test_the_parts_are_those_of_the_environment_and_every_file_that_others_made() -> None:
    bom = {
        "metadata": {"component": {"bom-ref": "ours"}},
        "components": [{"bom-ref": "aiohttp"}],
        "dependencies": [{"ref": "ours", "dependsOn": ["aiohttp"]}],
    }
    full = with_vendored(bom)
    vendored = [path.parent for room in ("api", "engine") for path in (ROOT / room).rglob("VENDORED")]
    assert vendored
    names = {part["name"] for part in full["components"] if "name" in part}
    assert len(names) == len(full["components"]) - 1 >= len(vendored)
    assert {"jssip", "debug", "events", "ms", "sdp-transform"} <= names, "one file may have several parts"
    swagger = next(part for part in full["components"] if part.get("name") == "swagger-ui-dist")
    assert swagger["purl"] == f"pkg:npm/swagger-ui-dist@{swagger['version']}"
    assert swagger["bom-ref"] in full["dependencies"][0]["dependsOn"]
    assert full["dependencies"][0]["dependsOn"][0] == "aiohttp"
