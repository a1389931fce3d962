"""Environment variables for the programs that a test starts."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from engine.config.tuning import TUNING_VARIABLE, Tuning
from phones.ports import free_port

# Plans that are short enough for a test to use up.
PLANS = {
    "SMALL": {"seconds": 3, "calls": 25, "valid_for": 3600},
    "MEDIUM": {"seconds": 60, "calls": 1, "valid_for": 3600},
    "LARGE": {"seconds": 7, "calls": 25, "valid_for": 3600},
}


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


# Settings, and figures of `Tuning`, of a system that is tested.
QUICK: dict[str, object] = {
    "profile": "demo",
    # Its tests start it: the port and the modules are for them alone.
    "browser_phone": False,
    "plans": PLANS,
    "longest_call": 4,
    # Long enough for a callee to answer on a busy machine.
    "ring_timeout": 8,
    # A callee on a busy machine may answer late, and is no silent trunk.
    "trunk_silent": 5,
    "read_statement": 10,
    "sweep_interval": 0.5,
    # Refusals would take seconds.
    "voice": False,
    # Tests ask again and again until something has happened, and book again and again.
    **dict.fromkeys(("requests_per_minute", "max_bookings_per_account", "new_bookings_a_day"), 1_000_000),
    # Most of their calls come from one number.
    **dict.fromkeys(("max_ringing_calls_per_caller", "calls_at_once"), 1_000),
    "callback_retries": [0.2, 0.5, 1],
    # Callbacks to receivers that never answer must not outlast their test.
    "callback_pace": 500,
}


def quick_settings() -> dict[str, object]:
    """Those settings, on free ports of this machine."""
    return {
        **QUICK,
        "http_port": free_port(),
        "fastagi_port": free_port(),
        "metrics_address": f"127.0.0.1:{free_port()}",
        "ami_port": free_port(),
        "sip_port": free_port(),
    }
