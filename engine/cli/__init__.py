"""The command line, `rented-numbers …`. Exit status 0; 1 for what was refused, with the reason; 2 for wrong usage."""

import sys
from tomllib import TOMLDecodeError
from typing import NoReturn

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError

from engine.cli import customers, explanations, ledger, pool, system
from engine.cli.output import complain
from engine.domain.errors import RentedNumbersError
from engine.settings import CONFIG_FILE

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Hides a telephone number behind a rented one.",
)
app.command()(system.run)
app.command()(system.setup)
app.command()(system.serve)
app.command("asterisk-config")(system.asterisk_config)
app.command()(explanations.explain)
app.add_typer(pool.app, name="numbers")
app.add_typer(ledger.app, name="ledger")
app.add_typer(customers.accounts_app, name="accounts")
app.add_typer(customers.keys_app, name="keys")


def main() -> NoReturn:
    try:
        app()
    except ValidationError as error:
        # Never the values: one of them may be a secret in the wrong place.
        for problem in error.errors(include_input=False, include_url=False):
            complain(f"setting {'.'.join(map(str, problem['loc']))}: {problem['msg']}")
    except SettingsError as error:
        complain(str(error))  # names the field and its source
    except TOMLDecodeError as error:
        complain(f"{CONFIG_FILE}: {error}")
    except (RentedNumbersError, OSError) as error:
        complain(str(error))
    sys.exit(1)
