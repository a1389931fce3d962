"""`doctor`: checks each part of a system, running or not, and says what is wrong and what to do. It changes nothing."""

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import NamedTuple

from engine.config.settings import Settings
from engine.domain.errors import RentedNumbersError
from engine.local import doctor_checks as checks
from engine.local.data_dir import acting_as_owner
from engine.local.database_check import DAMAGED, database
from engine.local.end_spool_check import end_spool
from engine.local.findings import Finding, Verdict
from engine.local.prompt_check import prompts
from engine.local.reverse_check import reverse_calls
from engine.local.running_asterisk import running_asterisk
from engine.local.trunk_check import trunks
from engine.local.warning_check import warnings

__all__ = ["Finding", "Verdict", "examine"]


class Check(NamedTuple):
    """The check of one part.

    Attributes:
        part: The part's name.
        run: Yields what it finds; may raise RentedNumbersError, OSError and sqlite3.Error.
        is_foundation: Whether all later checks need this part.
        fix: What to do when the check raises and the error's message does not say it.
        is_of_machine: Whether it looks outside of the data directory, with all rights of the user who runs `doctor`.
    """

    part: str
    run: Callable[[Settings], Iterable[Finding]]
    is_foundation: bool = False
    fix: str = ""
    is_of_machine: bool = False


# Each part comes after those that it needs.
CHECKS = (
    Check("asterisk program", checks.asterisk_program),
    Check("data directory", checks.data_directory, is_foundation=True),
    Check("files", checks.files),
    Check("secrets", checks.readable_secrets),
    Check("prompts", prompts),
    Check("trunks", trunks, fix="see docs/asterisk.md"),
    Check("database", database, is_foundation=True, fix=DAMAGED),
    Check("ports", checks.ports),
    Check("engine", checks.engine),
    Check("asterisk console", running_asterisk, is_of_machine=True),
    Check("numbers", checks.numbers),
    Check("numbers of bookings", checks.numbers_of_bookings),
    Check("trunks for reverse calls", reverse_calls),
    Check("callbacks", checks.callbacks),
    Check("journal", end_spool),
    Check("warnings", warnings),
    Check("ledger", checks.ledger),
    Check("exposure", checks.exposure),
    Check("test switch", checks.switches_for_tests),
)


def examine(settings: Settings) -> list[Finding]:
    """Checks every part. Without a data directory or a database the checks end there.

    A broken system raises no error: each failure is a finding.
    """
    findings: list[Finding] = []
    for check in CHECKS:
        try:
            with nullcontext() if check.is_of_machine else acting_as_owner(settings):
                findings.extend(check.run(settings))
        except (RentedNumbersError, OSError, sqlite3.Error) as error:
            findings.append(Finding(check.part, Verdict.FAILED, str(error), check.fix))
            if check.is_foundation:
                break
    return findings
