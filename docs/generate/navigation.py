"""Keeps the list of decision records in the site's navigation (zensical.toml) equal to the files that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SITE = "zensical.toml"
BEGIN = "    # Decision records: written by `make docs-reference`.\n"
END = "    # End of the decision records.\n"


def render() -> str:
    """The text of zensical.toml with the present decision records. Raises ValueError if it has no place for them."""
    before, _, rest = (ROOT / SITE).read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{SITE} has no section for the decision records")
    return before + BEGIN + "".join(_line(path) for path in decision_records()) + end + after


def decision_records() -> list[Path]:
    """All decision records, in the order of their numbers."""
    return sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))


def _line(path: Path) -> str:
    title = re.sub(r'["\\]', "", path.read_text().partition("\n")[0].removeprefix("# ").strip())
    return f'    {{ "{title}" = "{path.relative_to(ROOT)}" }},\n'
