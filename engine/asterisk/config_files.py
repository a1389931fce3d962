"""Writes Asterisk's configuration from the templates in asterisk_conf/, in which `@name@` is a placeholder."""

import json
import os
import re
import secrets
import shutil
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.asterisk.browser_phones import browser_phone_values
from engine.asterisk.prompts import DIRECTORY, PromptSources, greeting_classes, prompt_places
from engine.asterisk.sip_config import media_address, sip_values
from engine.asterisk.softphones import phone_globals, softphone_sections
from engine.asterisk.trunk_sections import trunk_sections
from engine.calls.end_spool import CURRENT
from engine.config.secrets import Secrets, kamailio_secrets, trunk_password
from engine.config.settings import Settings
from engine.domain.errors import RentedNumbersError
from engine.domain.failover import final_answers_pattern
from engine.runtime.atomic_file import write_atomically

# The checkout, or the directory of packages that a wheel was installed into.
ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "asterisk_conf"
# deploy/ of the checkout, or where a wheel puts it. The programs that it fetches go beside it.
_INSTALLED = Path(sysconfig.get_path("data"), "share", "rented-numbers", "deploy")
DEPLOY = ROOT / "deploy" if (ROOT / "deploy").is_dir() else _INSTALLED
TOOLS = DEPLOY.parent / ".tools"

# Files without which Asterisk complains or does not start; empty ones are enough.
EMPTY_FILES = ("acl", "ccss", "cel", "cli_aliases", "udptl")
# Calls that may wait for a decision, for each CPU core. The last of them waits for about half a second.
UNDECIDED_PER_CORE = 16
# The engine's user of Asterisk's manager interface.
AMI_USER = "rented-numbers"

_PLACEHOLDER = re.compile(r"@([a-z0-9_]+)@")
# What the dialplan would read as more than a part of a name in FILE(name,…).
_UNNAMEABLE = re.compile(r"""[^\w./+ ~@%=:-]""")
# A Unix socket's path may have 107 bytes; the names of Asterisk's sockets take the rest.
MAX_RUN_PATH = 90


class AsteriskMissing(RentedNumbersError):
    """There is no usable Asterisk; the message says what to do."""


@dataclass(frozen=True, slots=True)
class AsteriskProgram:
    """The Asterisk that deploy/tools.sh found or fetched.

    Attributes:
        command: The command that starts it.
        modules: Its directory of modules, as are all paths: absolute.
        data: Its directory of documentation and sounds.
        varlib: A directory that is copied as the initial astvarlibdir.
        version: For example 22.10.1.
    """

    command: tuple[str, ...]
    modules: Path
    data: Path
    varlib: Path
    version: str


def find_program(tools: Path = TOOLS) -> AsteriskProgram:
    """Reads `asterisk.json`, which deploy/tools.sh writes.

    Raises:
        AsteriskMissing: The file is missing or unusable.
    """
    try:
        found = json.loads((tools / "asterisk.json").read_text())
        command = [str(tools / found["command"][0]), *found["command"][1:]]
        return AsteriskProgram(
            command=tuple(command),
            modules=tools / found["modules_dir"],
            data=tools / found["data_dir"],
            varlib=tools / found["varlib_dir"],
            version=found["version"],
        )
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise AsteriskMissing(f"there is no Asterisk yet: run {DEPLOY}/tools.sh asterisk") from error


@dataclass(frozen=True, slots=True)
class AsteriskHome:
    """The directory in which an Asterisk of our own keeps its files.

    Attributes:
        base: The directory itself.
    """

    base: Path

    @property
    def etc(self) -> Path:
        """The directory of its configuration files."""
        return self.base / "etc"

    @property
    def config(self) -> Path:
        """Its main configuration file, which names all other directories."""
        return self.etc / "asterisk.conf"

    @property
    def log(self) -> Path:
        """The directory of its logs."""
        return self.base / "log"

    @property
    def run(self) -> Path:
        """The directory of its control socket and pid file."""
        return self.base / "run"

    @property
    def spool(self) -> Path:
        """Its spool directory."""
        return self.base / "spool"

    @property
    def prompts(self) -> Path:
        """The directory of the prompts."""
        return self.base / DIRECTORY

    @property
    def varlib(self) -> Path:
        """The directory of its variable data."""
        return self.base / "lib"


def write_own(settings: Settings, kept: Secrets, program: AsteriskProgram) -> AsteriskHome:
    """Writes the whole configuration of an Asterisk of our own under `data_dir/asterisk`.

    Raises:
        AsteriskMissing: A path cannot stand in Asterisk's files or is too long for its socket.
        UnusableFile: A certificate, a key or a list of CAs cannot be used.
    """
    home = AsteriskHome((settings.data_dir / "asterisk").absolute())
    _check_paths(home, program, settings)
    for directory in (home.etc, home.log, home.run, home.spool):
        directory.mkdir(parents=True, exist_ok=True)
    home.base.chmod(0o700)
    if not home.varlib.exists():
        shutil.copytree(program.varlib, home.varlib, symlinks=True)
    values = {
        **drop_in_values(settings, kept, kept.agi_token, home.prompts),
        **_own_values(settings, kept, program, home),
    }
    settings.journal.mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.speaks:
        prompt_sources(settings).install(home.prompts)
    for name in EMPTY_FILES:
        (home.etc / f"{name}.conf").write_text("")
    for template in (*(TEMPLATES / "own").glob("*.conf"), *(TEMPLATES / "drop_in").glob("*.conf")):
        write_atomically(home.etc / template.name, render(template.read_text(), values), 0o600)
    return home


def _check_paths(home: AsteriskHome, program: AsteriskProgram, settings: Settings) -> None:
    """Raises AsteriskMissing."""
    if len(str(home.run)) > MAX_RUN_PATH:
        raise AsteriskMissing(f"{home.run} is too long a path for Asterisk's socket: set a shorter data_dir")
    for path in (home.base, program.modules, program.data):
        if not str(path).isprintable() or ";" in str(path):
            raise AsteriskMissing(
                f"the path {str(path)!r} cannot stand in Asterisk's files: it has a semicolon or a control character"
            )
    check_nameable(settings.journal, "set RENTED_NUMBERS_JOURNAL_DIR to one")
    if settings.speaks:
        check_nameable(home.prompts, "set RENTED_NUMBERS_DATA_DIR to one")


def check_nameable(path: Path, fix: str) -> None:
    """Checks that the dialplan can name a path.

    Args:
        path: The path.
        fix: How to get a path that the dialplan can name: the beginning of a sentence that ends "without commas, …".

    Raises:
        AsteriskMissing: It cannot.
    """
    if _UNNAMEABLE.search(str(path)):
        raise AsteriskMissing(
            f"the path {str(path)!r} cannot stand in Asterisk's dialplan: {fix} "
            "without commas, quotes, brackets, backslashes, $ and semicolons"
        )


def prompt_sources(settings: Settings) -> PromptSources:
    """Returns where the sound files of the prompts come from."""
    return PromptSources(TOOLS / "prompts", settings.data_dir / "prompts")


def _own_values(settings: Settings, kept: Secrets, program: AsteriskProgram, home: AsteriskHome) -> dict[str, object]:
    """Returns the values of the placeholders in asterisk_conf/own, and those that the drop-ins have in common."""
    return {
        "etc": home.etc,
        "modules": program.modules,
        "data": program.data,
        "varlib": home.varlib,
        "spool": home.spool,
        "run": home.run,
        "log": home.log,
        "system_name": _system_name(home),
        **sip_values(settings),
        "rtp_start": settings.rtp_start,
        "rtp_end": settings.rtp_end,
        "most_calls": settings.most_calls,
        "ami_host": settings.ami_host,
        "ami_port": settings.ami_port,
        "phone_globals": phone_globals(settings),
        "softphones": softphone_sections(settings, kept),
        **browser_phone_values(settings, kept),
        "media": media_address(settings),
    }


def render(template: str, values: Mapping[str, object]) -> str:
    """Replaces the placeholders by their values.

    Raises:
        KeyError: A placeholder has no value.
    """
    return _PLACEHOLDER.sub(lambda match: str(values[match[1]]), template)


def drop_in_values(settings: Settings, kept: Secrets, agi_token: str, prompts: Path) -> dict[str, object]:
    """Returns values for the placeholders in asterisk_conf/drop_in.

    `media` is missing: it differs between our own Asterisk and one that is there already.

    Args:
        settings: The settings.
        kept: The installation's secrets.
        agi_token: The token of the Asterisk that reads the files.
        prompts: Where that Asterisk finds the prompts.

    Raises:
        InsecureSecrets: The password of a trunk, or Kamailio's key, is missing or cannot be used.
    """
    most_speaking, most_asking = prompt_places(settings.most_calls)
    return {
        "agi_token": agi_token,
        "engines": "&".join(settings.engines),
        "engine_seconds": f"{settings.engine_seconds:g}",
        "final_answers": final_answers_pattern(),
        "end_spool": settings.journal / CURRENT,
        "most_undecided": settings.tuning.max_undecided_calls or UNDECIDED_PER_CORE * len(os.sched_getaffinity(0)),
        "prompts": prompts.absolute(),
        "greetings": greeting_classes(prompts.absolute()),
        "most_speaking": most_speaking,
        "most_asking": most_asking,
        "rtp_timeout": int(settings.rtp_timeout.total_seconds()),
        "rtp_hold_timeout": int(settings.rtp_hold_timeout.total_seconds()),
        "trunks": trunk_sections(
            settings.trunks_in_use, trunk_passwords(settings), _kamailio_token(settings), speaks=settings.speaks
        ),
        "ami_user": AMI_USER,
        "ami_secret": kept.ami_secret,
        "ami_permits": "\n".join(f"permit = {each}" for each in settings.ami_permit),
    }


def _kamailio_token(settings: Settings) -> str | None:
    if settings.kamailio_host is None:
        return None
    return kamailio_secrets(settings.data_dir / "secrets").token


def trunk_passwords(settings: Settings) -> dict[str, str]:
    """Returns the password of each trunk that has a username.

    Raises:
        InsecureSecrets: One is missing or cannot be used.
    """
    directory = settings.data_dir / "secrets"
    return {
        trunk.name: trunk_password(directory, trunk.name)
        for trunk in settings.trunks_in_use
        if trunk.username is not None
    }


def _system_name(home: AsteriskHome) -> str:
    """Returns the name that begins every call's unique id; it is chosen at random once.

    An Asterisk that is set up anew gets another name, so its calls never have the ids of old ones.
    """
    path = home.base / "system-name"
    if not path.exists():
        path.write_text(f"rn{secrets.token_hex(4)}\n")
    return path.read_text().strip()
