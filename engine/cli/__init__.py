"""The command line, `rented-numbers …`.

Exit status: 0 when the command did what it was asked, 1 when it was refused (the reason is on standard error), 2 for
wrong usage.
"""

import os
import sys
from typing import NoReturn

from engine.cli.tree import app

__all__ = ["app", "main"]


def main() -> NoReturn:
    """Runs the command that `sys.argv` names."""
    # Files that a command makes are for their owner only, also in a directory that others can read.
    os.umask(0o077)
    try:
        app(obj=_configure_logs)
    except Exception as error:
        # Imported late: the modules behind it cost a tenth of a second, and most commands succeed.
        from engine.cli.errors import EXPECTED, messages_of  # noqa: PLC0415

        if not isinstance(error, EXPECTED):
            raise
        for line in messages_of(error):
            sys.stderr.write(f"rented-numbers: {line}\n")
    sys.exit(1)


def _configure_logs() -> None:
    """Masks numbers in whatever a command logs; `run` and `serve` set their own level later."""
    from engine.runtime import logs  # noqa: PLC0415  slow to import, and `--help` does without

    logs.configure("warning")
