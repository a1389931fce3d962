"""The sources of settings: the environment, and a file. Both refuse names that no setting has."""

import difflib
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, EnvSettingsSource, TomlConfigSettingsSource

from engine.config.types import lower_keys
from engine.domain.errors import RentedNumbersError

PREFIX = "RENTED_NUMBERS_"

CONFIG_FILE = "rented-numbers.toml"
# The variable that names another file, for a service and its commands, which run in any directory.
CONFIG_VARIABLE = f"{PREFIX}CONFIG"

# Variables with the prefix that are not settings but switches for tests: see engine.runtime.failpoints,
# engine.runtime.diagnostics and engine.config.tuning.
TEST_SWITCHES = frozenset({"TEST_FAILPOINT", "TEST_DIAGNOSTICS", "TEST_TUNING"})

# The plans' figures have longer names (PLANS__SMALL__SECONDS); pydantic checks those.
NESTED = "PLANS"

LIST_OF_SETTINGS = "docs/configuration.md lists all settings"

# Settings of earlier versions, each with the fixed value that replaces it.
REMOVED: Mapping[str, str] = {
    "ami_user": "rented-numbers",
    "call_deadline": "2 s",
    "callback_disable_after": "5 days",
    "callback_retries": "5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h",
    "callback_timeout": "15 s",
    "callback_workers": "16",
    "expired_callbacks": "10",
    "expired_callbacks_window": "1 hour",
    "lost_call_margin": "60 s",
    "max_undecided_calls": "16 for each core",
    "reconcile_interval": "5 s",
    "renewal_horizon": "10 years",
    "sweep_interval": "10 s",
}
# The others, each with what takes its place.
REPLACED: Mapping[str, str] = {
    "expired_announcement": "set VOICE=true, and put a recording of your own into prompts/<language>/expired.wav in "
    "DATA_DIR (and spent.wav: the credit is used up)",
}


class UnknownSetting(RentedNumbersError):
    """Names of no setting are set; the message has one line for each."""


class NoSuchFile(RentedNumbersError):
    """The environment names a file of settings that does not exist."""


class TomlFile(TomlConfigSettingsSource):
    """Reads the file with the plans' names in lower case, as the environment has them.

    Otherwise `SMALL` in the file and `small` in the environment would be two plans, and neither would override the
    other.
    """

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        named = os.environ.get(CONFIG_VARIABLE)
        # The file of the working directory may be missing. One that somebody named must not be left out silently.
        if named and not Path(named).is_file():
            raise NoSuchFile(f"{CONFIG_VARIABLE} names {named}, and there is no such file")
        super().__init__(settings_cls, named or CONFIG_FILE)

    def __call__(self) -> dict[str, Any]:
        """Returns the file's settings."""
        values = super().__call__()
        return values | {"plans": lower_keys(values["plans"])} if "plans" in values else values


class Environment(EnvSettingsSource):
    """Reads the environment and refuses unknown names, which pydantic would ignore: a misspelt setting must be seen."""

    def __call__(self) -> dict[str, Any]:
        """Returns the environment's settings. Raises UnknownSetting."""
        refuse_unknown_names(self.env_vars, self.settings_cls.model_fields)
        return super().__call__()


def refuse_unknown_names(environment: Collection[str], known: Collection[str]) -> None:
    """Refuses variables with our prefix that are neither settings nor switches for tests.

    Args:
        environment: Names of environment variables, in any case.
        known: Names of settings.

    Raises:
        UnknownSetting: With a hint for each: the setting that may have been meant, or that it was removed.
    """
    names = {name.upper() for name in known}
    complaints = []
    for variable in sorted({name.upper() for name in environment}):
        name = variable.removeprefix(PREFIX)
        is_setting = name in names | TEST_SWITCHES or name.startswith(f"{NESTED}__")
        if is_setting or variable in {name, CONFIG_VARIABLE}:
            continue
        complaints.append(f"{variable} {_explanation(name, names)}")
    if complaints:
        raise UnknownSetting("\n".join(complaints))


def _explanation(name: str, names: Collection[str]) -> str:
    removed = removal_hint(name)
    if removed:
        return removed
    close = closest(name, names)
    return f"is not a setting: {f'did you mean {PREFIX}{close}?' if close else LIST_OF_SETTINGS}"


def removal_hint(name: str) -> str | None:
    """Returns what to say of a setting of an earlier version; None for any other name."""
    instead = REPLACED.get(name.lower())
    if instead is not None:
        return f"is no longer a setting: {instead}"
    value = REMOVED.get(name.lower())
    return None if value is None else f"is no longer a setting: its value is fixed ({value}), so remove it"


def closest(name: str, known: Collection[str]) -> str | None:
    """Returns the one of `known` that may have been meant, or None."""
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.75)), None)


def active_test_switches() -> list[str]:
    """Returns the names of the environment variables for tests that are set in this process."""
    return sorted(f"{PREFIX}{name}" for name in TEST_SWITCHES if f"{PREFIX}{name}" in os.environ)
