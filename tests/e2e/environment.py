"""Environment variables for the programs that a test starts."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def environ(more: Mapping[str, str]) -> Iterator[None]:
    """Adds environment variables to this process inside its `with`."""
    previous = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(previous)


def as_environment(settings: Mapping[str, object]) -> dict[str, str]:
    return {
        f"RENTED_NUMBERS_{name.upper()}": json.dumps(value) if isinstance(value, dict | list) else str(value)
        for name, value in settings.items()
    }
