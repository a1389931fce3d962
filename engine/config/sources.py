"""Where settings come from: the environment, and a file."""

from typing import Any

from pydantic_settings import EnvSettingsSource, TomlConfigSettingsSource

from engine.config.names import refuse_unknown_names
from engine.config.types import lower_keys


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
