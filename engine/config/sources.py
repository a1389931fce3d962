"""Where settings come from: the environment, and a file."""

import difflib
from collections.abc import Collection
from typing import Any

from pydantic_settings import EnvSettingsSource, TomlConfigSettingsSource

from engine.config.types import lower_keys
from engine.domain.errors import RentedNumbersError


class TomlFile(TomlConfigSettingsSource):
    """Spells plans as the environment does: under two spellings neither source would override the other."""

    def __call__(self) -> dict[str, Any]:
        values = super().__call__()
        return values | {"plans": lower_keys(values["plans"])} if "plans" in values else values


class Environment(EnvSettingsSource):
    """Refuses names that are no settings: a misspelt one would be left out without a word."""

    def __call__(self) -> dict[str, Any]:
        refuse_unknown_names(self.env_vars, self.settings_cls.model_fields)
        return super().__call__()


PREFIX = "RENTED_NUMBERS_"


# Read by engine/failpoints.py alone.
NO_SETTINGS = frozenset({"TEST_FAILPOINT"})


# Names of parts of these go on behind two underscores, and are checked where they are read.
NESTED = "PLANS"


LISTED = "docs/configuration.md lists them all"


class UnknownSetting(RentedNumbersError):
    """One line for each."""


def closest(name: str, known: Collection[str]) -> str | None:
    """The one of `known` that may have been meant."""
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.75)), None)


def refuse_unknown_names(environment: Collection[str], known: Collection[str]) -> None:
    """`environment`: names of variables, in any case; `known`: names of settings. Raises UnknownSetting."""
    names = {name.upper() for name in known} | NO_SETTINGS
    complaints = []
    for variable in sorted({name.upper() for name in environment}):
        name = variable.removeprefix(PREFIX)
        if name != variable and name not in names and not name.startswith(f"{NESTED}__"):
            close = closest(name, names - NO_SETTINGS)
            hint = f"did you mean {PREFIX}{close}?" if close else LISTED
            complaints.append(f"{variable} is no setting: {hint}")
    if complaints:
        raise UnknownSetting("\n".join(complaints))
