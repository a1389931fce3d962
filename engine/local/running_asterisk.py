"""The part of `doctor` that asks a running Asterisk, through its console, what it would show of a hidden number.

`asterisk-config` looks for the same in configuration files, by the same table (engine.asterisk.exposures).
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from functools import partial

from engine.asterisk import console_output as output
from engine.asterisk.config_files import AsteriskHome, find_program
from engine.asterisk.console import CommandRefused, Console, ConsoleUnreachable, UnknownCommand
from engine.asterisk.exposures import CDR, CEL
from engine.config.settings import Settings
from engine.local import asterisk_checks as checks
from engine.local.asterisk_checks import AskedAsterisk
from engine.local.findings import Finding, Verdict
from engine.local.processes import own_console
from engine.local.trunk_check import registrations

PART = "asterisk console"
# Where systems keep the administrator's programs, which are not in every user's PATH.
MORE_PROGRAMS = ("/usr/sbin", "/usr/local/sbin")
NOT_THERE = "start Asterisk; if it is on another machine, `asterisk-config` lists what its files must have"
NOT_ALLOWED = (
    "run `doctor` as root, or as a user who may write to Asterisk's control socket; if Asterisk does not run, start it"
)
REFUSED = "a module does not run, or cli_permissions.conf does not allow the command"

CHECKS: tuple[tuple[str, Callable[[AskedAsterisk, str], AsyncIterator[Finding]]], ...] = (
    ("asterisk version", checks.version),
    ("asterisk core dumps", checks.core_dumps),
    ("asterisk modules", checks.modules),
    ("asterisk CDR", partial(checks.recorders, records=CDR)),
    ("asterisk CEL", partial(checks.recorders, records=CEL)),
    ("asterisk log", checks.log),
    ("asterisk SIP", checks.sip),
    ("asterisk endpoints", checks.endpoints),
    ("asterisk registrations", registrations),
    ("asterisk dialplan", checks.dialplan),
    ("asterisk manager", checks.manager),
)


def running_asterisk(settings: Settings) -> list[Finding]:
    """Asks the running Asterisk; our own, if we run one, only while it is there.

    Raises:
        AsteriskMissing: Our own Asterisk has no program.
    """
    if settings.manage_asterisk and not (_own_home(settings).run / "asterisk.ctl").exists():
        return []  # the checks of the engine report that it does not run
    try:
        console = console_of(settings)
    except ConsoleUnreachable as error:
        return [Finding(PART, Verdict.WARNING, str(error), NOT_THERE)]
    return asyncio.run(examine_asterisk(console, settings))


def console_of(settings: Settings) -> Console:
    """Returns the console of our own Asterisk if we run it, else that of the program `asterisk`.

    Raises:
        AsteriskMissing: Our own Asterisk has no program.
        ConsoleUnreachable: There is no program `asterisk`.
    """
    if settings.manage_asterisk:
        return own_console(find_program(), _own_home(settings))
    program = shutil.which("asterisk", path=os.pathsep.join([os.environ.get("PATH", ""), *MORE_PROGRAMS]))
    if program is None:
        raise ConsoleUnreachable("there is no program `asterisk` to ask")
    return Console([program])


def _own_home(settings: Settings) -> AsteriskHome:
    return AsteriskHome((settings.data_dir / "asterisk").absolute())


async def examine_asterisk(console: Console, settings: Settings) -> list[Finding]:
    """Makes all checks on one Asterisk, as far as its console answers."""
    findings: list[Finding] = []
    try:
        asterisk = AskedAsterisk(console, settings, output.fields(await console.run("core show settings")))
        for part, check in CHECKS:
            try:
                findings.extend([finding async for finding in check(asterisk, part)])
            except (CommandRefused, UnknownCommand) as error:
                findings.append(Finding(part, Verdict.WARNING, f"could not be checked: {error}", REFUSED))
    except ConsoleUnreachable as error:
        fix = NOT_THERE if os.geteuid() == 0 else NOT_ALLOWED
        findings.append(Finding(PART, Verdict.WARNING, str(error), fix))
    return findings
