"""Puts errors into words: one line for each problem, and never the value of a setting, which may be a secret."""

import re
from collections.abc import Iterator
from tomllib import TOMLDecodeError
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError

from engine.config.settings import Settings
from engine.config.sources import CONFIG_FILE, LIST_OF_SETTINGS, closest, removal_hint
from engine.config.trunk_settings import TrunkSettings
from engine.config.types import PlanSettings, PlansSettings
from engine.domain.errors import InvalidInput, RentedNumbersError

# Errors that a person can cause. Any other is a bug, and shows its traceback.
EXPECTED = (ValidationError, SettingsError, TOMLDecodeError, RentedNumbersError, OSError)
# The commands that list what was not found. The API does not say this: a key there sees its own account only.
LISTED_BY = {
    "there is no such booking": "`bookings list --gone`",
    "there is no such callback": "`callbacks list`",
    "there is no such call": "`calls live` or `cdr list`",
    "there is no such endpoint": "`callbacks endpoints`",
}


def messages_of(error: Exception) -> list[str]:
    """Returns the lines that explain one of EXPECTED."""
    match error:
        case ValidationError():
            return [_bad_setting(problem) for problem in error.errors(include_input=False, include_url=False)]
        case SettingsError():
            return list(_not_json(str(error)))
        case TOMLDecodeError():
            return [f"{CONFIG_FILE}: {error}"]
        case InvalidInput():
            return list(error.problems)
        case OSError() if error.strerror:
            return [f"{error.filename}: {error.strerror}" if error.filename else error.strerror]
        case _:
            text = str(error)
            where = f": {LISTED_BY[text]} shows them" if text in LISTED_BY else ""
            return f"{text}{where}".splitlines()


def _bad_setting(problem: Any) -> str:  # noqa: ANN401  pydantic's ErrorDetails
    name = ".".join(map(str, problem["loc"]))
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not name:
        return f"settings: {message}"
    field = str(problem["loc"][0])
    if problem["type"] == "string_pattern_mismatch":
        message = "is not in the form that is needed"
    elif problem["type"] == "extra_forbidden":
        removed = removal_hint(name)
        if removed:
            return f"{name} in {CONFIG_FILE} {removed}"
        return f"setting {name}: there is no such setting; {_meant(problem['loc'])}"
    elif problem["type"] == "time_delta_parsing":
        message = "must be seconds or ISO 8601; for example 10, PT10S or P7D"
    return f"setting {name}: {message}{_example(field)}"


def _meant(path: tuple[int | str, ...]) -> str:
    """Suggests a name for an unknown one in the file; unknown names in the environment are refused before."""
    match [str(part) for part in path]:
        case ["plans", _]:
            return f"the plans are {', '.join(PlansSettings.model_fields)}"
        case ["plans", _, _]:
            return f"a plan has {', '.join(PlanSettings.model_fields)}"
        case ["trunks", _, name]:
            fields = [field.alias or name for name, field in TrunkSettings.model_fields.items()]
            close = closest(name.lower(), fields)
            return f"did you mean {close}?" if close else f"a trunk has {', '.join(fields)}"
        case [name, *_]:
            close = closest(name.lower(), Settings.model_fields.keys())
            return f"did you mean {close} in {CONFIG_FILE}?" if close else f"{CONFIG_FILE} names it; {LIST_OF_SETTINGS}"
        case _:
            return LIST_OF_SETTINGS


def _not_json(text: str) -> Iterator[str]:
    """pydantic-settings puts the field and its source into one sentence, from which the field is taken."""
    found = re.search(r'field "([a-z_]+)"', text)
    if found is None:
        yield text
        return
    field = found[1]
    kind = "object" if field == "plans" else "list"
    yield f"setting {field}: must be a JSON {kind}{_example(field)}"


def _example(field: str) -> str:
    known = Settings.model_fields.get(field)
    return f"; for example {' or '.join(map(str, known.examples))}" if known and known.examples else ""
