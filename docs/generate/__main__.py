"""`python -m docs.generate` writes the generated documents; with `--check` it fails where one is out of date."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from docs.generate import api_reference, command_line, configuration, navigation

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS: dict[str, Callable[[], str]] = {
    "docs/configuration.md": configuration.render,
    "docs/cli.md": command_line.render,
    "docs/api-reference.md": api_reference.render,
    navigation.SITE: navigation.render,
}


def stale() -> list[str]:
    """Paths of generated files whose content is not what the code gives now."""
    return [path for path, render in DOCUMENTS.items() if _read(ROOT / path) != render()]


def main() -> int:
    """Write or check. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m docs.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with status 1 if a file is stale")
    is_check = parser.parse_args().check
    found = stale()
    for path in found:
        if is_check:
            sys.stderr.write(f"{path} is out of date: run `make docs-reference` and commit the result\n")
        else:
            (ROOT / path).write_text(DOCUMENTS[path]())
            sys.stdout.write(f"{path} written\n")
    return 1 if is_check and found else 0


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
