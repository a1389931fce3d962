"""`python -m docs.generate.site` builds all documents into a static site with search, in site/.

The documents link to each other and to source files as they lie in the repository. Before the build they are copied to
.site/ with three changes: README.md becomes the first page, a linked source file becomes a page that shows it, and
a link to a directory becomes plain text.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from docs.generate.markdown import LINK, pieces

ROOT = Path(__file__).resolve().parents[2]
STAGED = ROOT / ".site"
BUILT = ROOT / "site"
RENAMED = {"README.md": "index.md", "LICENSE": "LICENSE.md"}
# What a page's script or style may fetch while somebody reads it. Links that a reader clicks are no concern.
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)[^>]*\ssrc=["']?(https?:)?//|<link[^>]*\shref=["']?(https?:)?//"""
)


def documents() -> list[Path]:
    """All documents of the site."""
    return [*sorted(ROOT.glob("*.md")), ROOT / "LICENSE", *sorted((ROOT / "docs").rglob("*.md"))]


def page_of(path: Path) -> str:
    """The page that shows a document or source file, relative to the site's root."""
    name = str(path.relative_to(ROOT))
    return RENAMED.get(name) or (name if path.suffix == ".md" else f"source/{name}.md")


def stage(target: Path = STAGED) -> None:
    """Copy the documents, and pages for the source files that they link to, into an empty `target`."""
    shutil.rmtree(target, ignore_errors=True)
    linked: set[Path] = set()
    for path in documents():
        text = f"# Licence\n\n```text\n{path.read_text()}```\n" if path.suffix != ".md" else path.read_text()
        _write(target / page_of(path), _relinked(path, text, linked))
    for path in sorted(linked):
        if path.suffix in {".svg", ".png"}:
            page = target / path.relative_to(ROOT)
            page.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, page)
        elif path not in documents():
            _write(target / page_of(path), _source_page(path))


def build() -> None:
    """Build the site. Raises CalledProcessError when a link leads nowhere, or the site would fetch from elsewhere."""
    stage()
    shutil.rmtree(BUILT, ignore_errors=True)
    zensical = Path(sys.executable).with_name("zensical")
    subprocess.run([zensical, "build", "--clean", "--strict"], cwd=ROOT, check=True)  # noqa: S603  no input of others
    if fetched := foreign_pages():
        raise SystemExit(f"these pages fetch from other servers: {', '.join(fetched)}")


def foreign_pages() -> list[str]:
    """Built pages that fetch a script, a style, a font or a picture from another server."""
    return [str(page.relative_to(BUILT)) for page in sorted(BUILT.rglob("*.html")) if FETCHED.search(page.read_text())]


def _relinked(path: Path, text: str, linked: set[Path]) -> str:
    """The text with links as the site needs them; adds what they lead to to `linked`."""

    def relink(found: re.Match[str]) -> str:
        picture, shown, target, fragment = found[1], found[2], found[3], found[4] or ""
        if not target or ":" in target:  # inline code, an anchor of the same page, or another site
            return found[0]
        goal = (path.parent / target).resolve()
        if not goal.is_file():
            return shown
        linked.add(goal)
        page = str(goal.relative_to(ROOT)) if picture or goal.suffix == ".svg" else page_of(goal)
        here = Path(page_of(path)).parent
        return f"{picture}[{shown}]({os.path.relpath(page, here)}{fragment})"

    return "".join(LINK.sub(relink, piece) if is_prose else piece for piece, is_prose in pieces(text))


def _source_page(path: Path) -> str:
    language = {".py": "python", ".sql": "sql", ".toml": "toml", ".conf": "ini"}.get(path.suffix, "text")
    return f"# {path.relative_to(ROOT)}\n\n````{language}\n{path.read_text()}````\n"


def _write(page: Path, text: str) -> None:
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text)


if __name__ == "__main__":
    build()
