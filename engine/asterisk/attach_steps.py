"""Finds what remains to be done by hand, after the drop-in files are written, on an Asterisk that is there already.

Each step says what to do, and looks whether that has been done. A file that cannot be read leaves its steps to be done:
an instruction too many does no harm.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from engine.asterisk.config_files import TEMPLATES
from engine.asterisk.drop_ins import Owner, owner_of
from engine.asterisk.present_config import PresentConfig, UnreadableConfig, is_true
from engine.config.settings import Settings
from engine.runtime.file_access import identity_of, may_create_in

# What the dialplan and the carrier's side need; a test compares the dialplan with it.
NEEDED_MODULES = (
    "app_dial",
    "app_playback",
    "app_stack",
    "app_userevent",
    "chan_pjsip",
    "func_callerid",
    "func_channel",
    "func_cut",
    "func_env",
    "func_global",
    "func_groupcount",
    "func_hangupcause",
    "func_logic",
    "func_sha1",
    "func_strings",
    "func_timeout",
    "res_agi",
    "res_pjsip_header_funcs",
    "res_pjsip_sips_contact",
    "res_pjsip_t38",
)
UNWANTED_MODULES = {
    "res_pjsip_messaging": "text messages of a callee do not reach the caller",
    "res_pjsip_refer": "no INVITE with Replaces takes over a call",
}
# They can show a hidden number. `*` is all levels.
UNWANTED_LEVELS = {"debug", "verbose", "warning", "*"}
AMI_PORT = "5038"
EVERY_ADDRESS = {"", "0.0.0.0", "::", "[::]"}  # noqa: S104  compared, not bound


class Step(NamedTuple):
    """Something to do by hand.

    Attributes:
        text: What to do.
        is_done: Whether it is done. May raise UnreadableConfig and OSError.
    """

    text: str
    is_done: Callable[[], bool]


def remaining_steps(settings: Settings, directory: Path, written: list[Path]) -> list[str]:
    """Returns what remains to be done by hand, one line for each step.

    Args:
        settings: The settings.
        directory: Where Asterisk's configuration files are.
        written: The drop-in files.
    """
    config = PresentConfig(directory)
    steps = [
        *_include_steps(config, written),
        *_file_steps(settings, config, owner_of(directory)),
        *_module_steps(config),
        _log_step(config),
        _log_mappings_step(config),
        _end_spool_step(settings, owner_of(directory)),
    ]
    return [*(step.text for step in steps if not _is_done(step)), "Then run in Asterisk's console: core reload"]


def _is_done(step: Step) -> bool:
    with suppress(UnreadableConfig, OSError):
        return step.is_done()
    return False


def _include_steps(config: PresentConfig, written: list[Path]) -> Iterator[Step]:
    for path in written:
        file = path.name.replace("_rented_numbers", "")
        text = f'{path}: add  #tryinclude "{path.name}"  to {file}'
        yield Step(text, lambda file=file, path=path: config.includes(file, path))  # type: ignore[misc]


def _file_steps(settings: Settings, config: PresentConfig, owner: Owner) -> Iterator[Step]:
    yield Step(
        f"Only {owner} can read these files: if Asterisk runs as another user, change their owner",
        lambda: config.options("asterisk.conf", "options").option("runuser") == str(owner).partition(":")[0],
    )
    yield Step(
        f"manager.conf: [general] must have  enabled = yes  and listen on {settings.ami_host}:{settings.ami_port}",
        lambda: _listens(config, settings.ami_host, settings.ami_port),
    )
    wanted = {"type": "transport"}
    if settings.trunk_over_tls:
        wanted |= {"protocol": "tls", "verify_server": "yes"}
    text = ", ".join(f"{name} = {value}" for name, value in wanted.items())
    yield Step(
        f"pjsip.conf: must have a transport ({text}), which the trunk and the carrier use",
        lambda: any(
            not section.is_template and all(section.option(name) == value for name, value in wanted.items())
            for section in config.sections("pjsip.conf")
        ),
    )


def _listens(config: PresentConfig, host: str, port: int) -> bool:
    general = config.options("manager.conf", "general")
    address = general.option("bindaddr")
    return (
        is_true(general.option("enabled", "no"))
        and (address in EVERY_ADDRESS or address == host)
        and general.option("port", AMI_PORT) == str(port)
    )


def _module_steps(config: PresentConfig) -> Iterator[Step]:
    for module, reason in UNWANTED_MODULES.items():
        yield Step(
            f"modules.conf: add  noload = {module}.so  so that {reason}",
            lambda module=module: not _loaded(config, [module]),  # type: ignore[misc]
        )
    needed: tuple[str, ...] = NEEDED_MODULES
    with suppress(UnreadableConfig):
        loaded = _loaded(config, NEEDED_MODULES)
        needed = tuple(each for each in NEEDED_MODULES if each not in loaded)
    yield Step(f"modules.conf: these must be loaded (autoload does): {', '.join(needed)}", lambda: not needed)


def _loaded(config: PresentConfig, modules: Iterable[str]) -> list[str]:
    """Returns those modules that Asterisk loads. Raises UnreadableConfig."""
    section = config.options("modules.conf", "modules")
    named: dict[str, set[str]] = {}
    for key, value in section.options:
        named.setdefault(key, set()).add(value.lower().removesuffix(".so"))
    wanted = set().union(*(named.get(key, set()) for key in ("load", "require", "preload", "preload-require")))
    everything = is_true(section.option("autoload", "no"))
    return [each for each in modules if (everything or each in wanted) and each not in named.get("noload", set())]


def _log_step(config: PresentConfig) -> Step:
    def is_done() -> bool:
        files = [option for option in config.options("logger.conf", "logfiles").options if option[0] != "console"]
        return bool(files) and not any(_levels(value) & UNWANTED_LEVELS for _, value in files)

    text = "logger.conf: keep debug, verbose and warning out of the log files, because they can show a hidden number"
    return Step(text, is_done)


def _levels(value: str) -> set[str]:
    """Returns the levels of a log file, for example of `[json]notice,verbose(3)`."""
    levels = value.partition("]")[2] if value.startswith("[") else value
    return {each.strip().partition("(")[0].lower() for each in levels.split(",")}


def _log_mappings_step(config: PresentConfig) -> Step:
    ours = PresentConfig(TEMPLATES / "own")
    file, section = "pjproject.conf", "log_mappings"
    return Step(
        f"{file}: copy [{section}] from {TEMPLATES / 'own' / file}, against forged log lines",
        lambda: dict(config.options(file, section).options) == dict(ours.options(file, section).options),
    )


def _end_spool_step(settings: Settings, owner: Owner) -> Step:
    return Step(
        f"{settings.journal}: Asterisk's user must be able to write there (RENTED_NUMBERS_JOURNAL_DIR moves it)",
        lambda: may_create_in(settings.journal, identity_of(owner.uid, owner.gid)),
    )
