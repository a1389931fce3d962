"""The command line, `rented-numbers …`.

Exit status: 0 when the command did what it was asked, 1 when it was refused (the reason is on standard error), 2 for
wrong usage.
"""

import os
import resource
import sys
from typing import NoReturn

from engine.cli.tree import app

__all__ = ["app", "main"]


def main() -> NoReturn:
    """Runs the command that `sys.argv` names."""
    # Files that a command makes are for their owner only, also in a directory that others can read.
    os.umask(0o077)
    _forbid_core_dumps()
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


def _forbid_core_dumps() -> None:
    """Lets this process and its children, Asterisk too, leave no copy of their memory, which holds hidden numbers.

    A limit of 0 does not stop a dump that the kernel pipes into a program, as most distributions set it up. At 1 the
    kernel drops both kinds: no file is that small, and 1 is its mark for a dump that must not be piped.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    limit = 1 if hard == resource.RLIM_INFINITY else min(hard, 1)
    resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))


def _configure_logs() -> None:
    """Masks numbers in whatever a command logs; `run` and `serve` set their own level later."""
    from engine.runtime import logs  # noqa: PLC0415  slow to import, and `--help` does without

    logs.configure("warning")
