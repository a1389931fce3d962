"""Finds what remains to be done by hand, after the drop-in files are written, on an Asterisk that is there already.

Each step says what to do, and looks whether that has been done. A file that cannot be read leaves its steps to be done:
an instruction too many does no harm.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from engine.asterisk.asterisk_user import Owner, owner_of, runs_as
from engine.asterisk.config_files import TEMPLATES
from engine.asterisk.exposures import (
    ALL_RECORDS,
    ANY,
    CAPTURE,
    CAPTURE_OFF,
    GOOD_LEVELS,
    NO_LEVELS,
    UNWANTED_LEVELS,
    UNWANTED_MODULES,
    Recorder,
    Records,
    mended_levels,
    needed_modules,
    noload,
    wanted_transports,
)
from engine.asterisk.present_config import PresentConfig, UnreadableConfig, is_true
from engine.asterisk.prompts import DIRECTORY
from engine.config.settings import Settings
from engine.runtime.file_access import identity_of, may_create_in

AMI_PORT = "5038"
EVERY_ADDRESS = {"", "0.0.0.0", "::", "[::]"}  # noqa: S104  compared, not bound
# What Asterisk takes for an option of a transport that is not given.
DEFAULTS = {"protocol": "udp"}
RELOAD = "Then run in Asterisk's console: core reload"
RESTART = "Then restart Asterisk, because a reload unloads no module: core restart gracefully"


class Step(NamedTuple):
    """Something to do by hand.

    Attributes:
        text: What to do.
        is_done: Whether it is done. May raise UnreadableConfig and OSError.
        needs_restart: Whether a reload is not enough afterwards.
    """

    text: str
    is_done: Callable[[], bool]
    needs_restart: bool = False


def remaining_steps(settings: Settings, directory: Path, written: list[Path]) -> list[str]:
    """Returns what remains to be done by hand, one line for each step.

    Args:
        settings: The settings.
        directory: Where Asterisk's configuration files are.
        written: The drop-in files, in that directory or in another one, from which they are to be copied.
    """
    config, owner = PresentConfig(directory), owner_of(directory)
    steps = [
        *_copy_steps(directory, written, owner),
        *_prompt_steps(settings, directory, written),
        *_include_steps(config, directory, written),
        *_file_steps(settings, config, directory, owner),
        *_module_steps(config, needed_modules(settings.trunks_in_use, speaks=settings.speaks)),
        *_record_steps(config),
        *_log_steps(config),
        _log_mappings_step(config),
        _end_spool_step(settings, owner),
    ]
    left = [step for step in steps if not _is_done(step)]
    return [*(step.text for step in left), RESTART if any(step.needs_restart for step in left) else RELOAD]


def _is_done(step: Step) -> bool:
    with suppress(UnreadableConfig, OSError):
        return step.is_done()
    return False


def _copy_steps(directory: Path, written: list[Path], owner: Owner) -> Iterator[Step]:
    elsewhere = [path for path in written if path.parent.absolute() != directory.absolute()]
    if elsewhere:
        files = " ".join(str(path) for path in elsewhere)
        yield Step(
            f"As root: install -o {owner.user} -g {owner.group} -m 640 {files} {directory}",
            lambda: all((directory / path.name).read_bytes() == path.read_bytes() for path in elsewhere),
        )


def _prompt_steps(settings: Settings, directory: Path, written: list[Path]) -> Iterator[Step]:
    for output in {path.parent.absolute() for path in written if settings.speaks} - {directory.absolute()}:
        yield Step(
            f"As root: cp -rT {output / DIRECTORY} {directory / DIRECTORY}",
            lambda output=output: _sounds_in(output / DIRECTORY) == _sounds_in(directory / DIRECTORY),  # type: ignore[misc]
        )


def _sounds_in(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.glob("*/*")}


def _include_steps(config: PresentConfig, directory: Path, written: list[Path]) -> Iterator[Step]:
    for path in (directory / each.name for each in written):
        file = path.name.replace("_rented_numbers", "")
        text = f'{path}: add  #tryinclude "{path.name}"  to {file}'
        yield Step(text, lambda file=file, path=path: config.includes(file, path))  # type: ignore[misc]


def _file_steps(settings: Settings, config: PresentConfig, directory: Path, owner: Owner) -> Iterator[Step]:
    yield Step(
        f"Only {owner} can read these files: if Asterisk runs as another user, change their owner",
        lambda: runs_as(directory) == owner,
    )
    yield Step(
        f"manager.conf: [general] must have  enabled = yes  and listen on {settings.ami_host}:{settings.ami_port}",
        lambda: _listens(config, settings.ami_host, settings.ami_port),
    )
    for wanted in wanted_transports(trunk.next_hop for trunk in settings.trunks_in_use):
        text = ", ".join(f"{name} = {value}" for name, value in wanted.items())
        yield Step(
            f"pjsip.conf: must have a transport ({text}), which trunks use",
            lambda wanted=wanted: _has_transport(config, wanted),  # type: ignore[misc]
        )

    if settings.external_address is not None:
        nat = {f"external_{each}_address": settings.external_address for each in ("signaling", "media")}
        text = ", ".join(f"{name} = {value}" for name, value in nat.items())
        yield Step(
            f"pjsip.conf: every transport that trunks use must have ({text}, local_net = your own networks)",
            lambda: _all_transports_have(config, nat),
            needs_restart=True,
        )


def _all_transports_have(config: PresentConfig, wanted: dict[str, str]) -> bool:
    transports = [each for each in config.sections("pjsip.conf") if each.option("type") == "transport"]
    return all(
        transport.is_template or all(transport.option(name) == value for name, value in wanted.items())
        for transport in transports
    )


def _has_transport(config: PresentConfig, wanted: dict[str, str]) -> bool:
    return any(
        not section.is_template
        and all(section.option(name, DEFAULTS.get(name, "")) == value for name, value in wanted.items())
        for section in config.sections("pjsip.conf")
    )


def _listens(config: PresentConfig, host: str, port: int) -> bool:
    general = config.options("manager.conf", "general")
    address = general.option("bindaddr")
    return (
        is_true(general.option("enabled", "no"))
        and (address in EVERY_ADDRESS or address == host)
        and general.option("port", AMI_PORT) == str(port)
    )


def _module_steps(config: PresentConfig, wanted: Sequence[str]) -> Iterator[Step]:
    for module, reason in UNWANTED_MODULES.items():
        yield Step(
            f"{noload(module)}  so that {reason}",
            lambda module=module: not _loaded(config, [module]),  # type: ignore[misc]
            needs_restart=True,
        )
    needed = wanted
    with suppress(UnreadableConfig):
        loaded = _loaded(config, wanted)
        needed = [each for each in wanted if each not in loaded]
    yield Step(
        f"modules.conf: these must be loaded (autoload does): {', '.join(needed)}",
        lambda: not needed,
        needs_restart=True,
    )


def _loaded(config: PresentConfig, modules: Iterable[str]) -> list[str]:
    """Returns those modules that Asterisk loads. Raises UnreadableConfig."""
    section = config.options("modules.conf", "modules")
    named: dict[str, set[str]] = {}
    for option in section.options:
        named.setdefault(option.name, set()).add(option.value.lower().removesuffix(".so"))
    wanted = set().union(*(named.get(key, set()) for key in ("load", "require", "preload", "preload-require")))
    everything = is_true(section.option("autoload", "no"))
    return [each for each in modules if (everything or each in wanted) and each not in named.get("noload", set())]


def _record_steps(config: PresentConfig) -> Iterator[Step]:
    yield Step(CAPTURE_OFF, lambda: not _writes(config, CAPTURE), needs_restart=True)
    for records in ALL_RECORDS:
        try:
            recorders = [each for each in records.recorders if _is_on(config, records) and _writes(config, each)]
        except (UnreadableConfig, OSError):
            yield Step(records.switch_off, lambda: False)
        else:
            for recorder in recorders:
                yield Step(records.leave_out(recorder), lambda: False, needs_restart=True)


def _is_on(config: PresentConfig, records: Records) -> bool:
    """Returns whether Asterisk makes such records at all. Raises UnreadableConfig, OSError."""
    default = "yes" if records.is_default else "no"
    given = config.options(records.file, "general").option("enable", default) if config.has(records.file) else default
    return is_true(given)


def _writes(config: PresentConfig, recorder: Recorder) -> bool:
    """Returns whether a module is loaded and writes. Raises UnreadableConfig, OSError."""
    return has_work(config, recorder) and bool(_loaded(config, [recorder.module]))


def has_work(config: PresentConfig, recorder: Recorder) -> bool:
    """Returns whether the files tell a module to write something. Raises UnreadableConfig, OSError."""
    if not recorder.file:
        return True
    return config.has(recorder.file) and any(
        is_true(option.value) if option.name == "enabled" else True
        for section in config.sections(recorder.file)
        if recorder.section in {ANY, section.name}
        for option in section.options
        if recorder.option in {ANY, option.name}
    )


def _log_steps(config: PresentConfig) -> Iterator[Step]:
    """Names each line of a log with a level that can show a hidden number or a PIN.

    The console is a log too: systemd's journal keeps it, unless the unit says otherwise.
    """
    try:
        logs = config.options("logger.conf", "logfiles").options
    except UnreadableConfig:
        logs = ()
    if not any(log.name != "console" for log in logs):
        yield Step(f"logger.conf: [logfiles] must have  messages => {GOOD_LEVELS}  {NO_LEVELS}", lambda: False)
    for log in logs:
        levels = _levels(log.value)
        if levels & UNWANTED_LEVELS:
            formatter = log.value.partition("]")[0] + "]" if log.value.startswith("[") else ""
            line = f"{log.name} => {formatter}{mended_levels(levels)}"
            yield Step(f"{log.file}: change to  {line}  {NO_LEVELS}", lambda: False)


def _levels(value: str) -> frozenset[str]:
    """Returns the levels of a log file, for example of `[json]notice,verbose(3)`."""
    levels = value.partition("]")[2] if value.startswith("[") else value
    return frozenset(each.strip().partition("(")[0].lower() for each in levels.split(","))


def _log_mappings_step(config: PresentConfig) -> Step:
    ours = PresentConfig(TEMPLATES / "own")
    file, section = "pjproject.conf", "log_mappings"
    return Step(
        f"{file}: copy [{section}] from {TEMPLATES / 'own' / file}, against forged log lines",
        lambda: config.options(file, section).values() == ours.options(file, section).values(),
    )


def _end_spool_step(settings: Settings, owner: Owner) -> Step:
    return Step(
        f"{settings.journal}: Asterisk's user must be able to write there (RENTED_NUMBERS_JOURNAL_DIR moves it)",
        lambda: may_create_in(settings.journal, identity_of(owner.uid, owner.gid)),
    )
