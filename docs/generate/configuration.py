"""Writes docs/configuration.md from the settings model."""

from collections.abc import Iterator
from datetime import timedelta

from pydantic import TypeAdapter

from docs.generate.markdown import code, document, table
from engine.config.settings import Settings
from engine.config.sources import CONFIG_FILE, CONFIG_VARIABLE, PREFIX
from engine.config.trunk_settings import TrunkSettings

INTRODUCTION = f"""\
Settings come from three places. The environment wins over the file, and the file wins over the defaults:

1. Environment variables: `{PREFIX}` and the name of the setting, in capital letters.
2. `{CONFIG_FILE}` in the working directory, or the file that `{CONFIG_VARIABLE}` names: the name in small letters,
   without the prefix.
3. The defaults in the table below.

A name that is not a setting is an error, so a spelling mistake cannot go unnoticed. Every error names the setting and
gives an example.

- **Durations** are seconds (`90`) or ISO 8601 (`PT90S`, `P7D`).
- **Lists** are JSON in the environment: `'["192.0.2.10", "198.51.100.0/28"]'`.
- **Nested settings** join their names with two underscores in the environment: `{PREFIX}PLANS__SMALL__SECONDS=600`.

The same in a file:

```toml
http_port = 8081
carrier_addresses = ["192.0.2.10", "198.51.100.0/28"]

[plans.small]
seconds = 600
valid_for = "P1D"
```

Secrets are not settings. They are files in `var/secrets`. The first start creates them and names them. The engine does
not start when a secret is missing, too weak, or readable by other users. The passwords that carriers gave you are kept
there too; `rented-numbers trunks password` writes them."""


TRUNKS = f"""\
Each trunk is a table `[[trunks]]` in the file, or an object of the JSON list `{PREFIX}TRUNKS`.
[A carrier that asks for a password](asterisk.md#a-carrier-that-asks-for-a-password) shows a whole one. The password is
no field: `rented-numbers trunks password NAME` stores it."""


def render() -> str:
    """The text of docs/configuration.md."""
    rows = [(code(name), code(default), meaning) for name, default, meaning in _settings()]
    trunk = [(code(name), code(default), meaning) for name, default, meaning in _trunk_fields()]
    return document(
        "Configuration",
        INTRODUCTION,
        [
            "## Settings",
            table([f"`{PREFIX}…`", "default", "meaning"], rows),
            "## Fields of a trunk",
            TRUNKS,
            table(["field", "default", "meaning"], trunk),
        ],
    )


def _trunk_fields() -> Iterator[tuple[str, str, str]]:
    """Name, default, meaning."""
    for name, field in TrunkSettings.model_fields.items():
        default = "required" if field.is_required() else _shown(field.get_default())
        yield field.alias or name, default, field.description or ""


def _settings() -> Iterator[tuple[str, str, str]]:
    """Name without prefix, default, meaning."""
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        if name != "plans":
            yield name.upper(), _shown(default), field.description or ""
            continue
        for plan, chosen in default:
            for part, value in chosen:
                meaning = type(chosen).model_fields[part].description or ""
                yield f"PLANS__{plan.upper()}__{part.upper()}", _shown(value), meaning


def _shown(value: object) -> str:
    match value:
        case None:
            return "unset"
        case bool():
            return str(value).lower()
        case timedelta():
            return str(TypeAdapter(timedelta).dump_python(value, mode="json"))
        case list():
            return "[" + ", ".join(f'"{each}"' if isinstance(each, str) else _shown(each) for each in value) + "]"
        case _:
            return str(value)
