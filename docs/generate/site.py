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
RENAMED = {"README.md": "index.md", "LICENSE": "LICENSE.md"}
STYLE = Path(__file__).with_name("site.css")
PICTURES = {".svg", ".png"}
# What a page fetches while somebody reads it; links that a reader clicks are no concern. The theme's script fetches
# the renderer of Mermaid diagrams from a CDN as soon as a page has one, so pictures are SVG files instead.
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\ssrc=["']?(?:https?:)?//"""
    r"""|<link\b[^>]*rel=["']?(?:stylesheet|preconnect|preload|icon|manifest)[^>]*\shref=["']?(?:https?:)?//"""
    r"""|class=["']?mermaid"""
)


def documents() -> list[Path]:
    """All documents of the site."""
    return [*sorted(ROOT.glob("*.md")), ROOT / "LICENSE", *sorted((ROOT / "docs").rglob("*.md"))]


def page_of(path: Path) -> str:
    """The page that shows a document or source file, relative to the site's root."""
    name = str(path.relative_to(ROOT))
    return RENAMED.get(name) or (name if path.suffix == ".md" else f"source/{name}.md")


def stage(target: Path) -> None:
    """Copy the documents, and pages for the source files that they link to, into an empty `target`."""
    shutil.rmtree(target, ignore_errors=True)
    linked: set[Path] = set()
    _write(target / STYLE.name, STYLE.read_text())
    for path in documents():
        text = f"# Licence\n\n```text\n{path.read_text()}```\n" if path.suffix != ".md" else path.read_text()
        _write(target / page_of(path), _relinked(path, text, linked))
    for path in sorted(linked):
        if path.suffix in PICTURES:
            page = target / path.relative_to(ROOT)
            page.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, page)
        elif path not in documents():
            _write(target / page_of(path), _source_page(path))


def build(target: Path = ROOT) -> Path:
    """Build the site in `target`/site and return that directory.

    Raises CalledProcessError when the generator finds a dead link, SystemExit when a page fetches from elsewhere.
    """
    stage(target / ".site")
    if target != ROOT:
        shutil.copyfile(ROOT / "zensical.toml", target / "zensical.toml")
    built = target / "site"
    shutil.rmtree(built, ignore_errors=True)
    zensical = Path(sys.executable).with_name("zensical")
    subprocess.run([zensical, "build", "--clean", "--strict"], cwd=target, check=True)  # noqa: S603  no input of others
    if fetched := foreign_pages(built):
        raise SystemExit(f"these pages fetch from other servers: {', '.join(fetched)}")
    return built


def foreign_pages(built: Path) -> list[str]:
    """Built pages that fetch a script, a style, a font or a picture from another server."""
    return [str(page.relative_to(built)) for page in sorted(built.rglob("*.html")) if FETCHED.search(page.read_text())]


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
        page = str(goal.relative_to(ROOT)) if goal.suffix in PICTURES else page_of(goal)
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
