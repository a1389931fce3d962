"""Environment variables for the programs that a test starts."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from engine.config.tuning import TUNING_VARIABLE, Tuning


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


def as_environment(chosen: Mapping[str, object]) -> dict[str, str]:
    """Settings, and figures of `Tuning`, by their names."""
    tuning = {name: value for name, value in chosen.items() if name in Tuning.model_fields}
    settings = {
        f"RENTED_NUMBERS_{name.upper()}": json.dumps(value) if isinstance(value, dict | list) else str(value)
        for name, value in chosen.items()
        if name not in tuning
    }
    return settings | ({TUNING_VARIABLE: json.dumps(tuning)} if tuning else {})
