"""What `doctor` asks a running Asterisk, one function for each part: what would show or store a hidden number.

Each asks the console and yields findings. It may raise ConsoleError.
"""

import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.asterisk import console_output as output
from engine.asterisk.attach_steps import has_work
from engine.asterisk.call_variables import BEEP
from engine.asterisk.config_files import AMI_USER
from engine.asterisk.console import Console, UnknownCommand
from engine.asterisk.console_output import LogChannel
from engine.asterisk.exposures import (
    CAPTURE,
    CAPTURE_OFF,
    CARRIER_OPTIONS,
    NO_LEVELS,
    TRUNK_OPTIONS,
    UNWANTED_LEVELS,
    UNWANTED_MODULES,
    Recorder,
    Records,
    mended_levels,
    needed_modules,
    noload,
    wanted_transports,
)
from engine.asterisk.present_config import PresentConfig, UnreadableConfig
from engine.config.settings import Settings
from engine.local.findings import Finding, Verdict

OLDEST_VERSION = 20
CONTEXTS = (
    "rented-numbers-to",
    "rented-numbers",
    "rented-numbers-answered",
    "rented-numbers-withheld",
    "rented-numbers-ended",
)
# The rights of the engine's manager user, see asterisk_conf/drop_in.
AMI_RIGHTS = {"read perm": "user", "write perm": "call"}
RESTART = "then: core restart gracefully"
RELOAD = "then: core reload"
# Asterisk says nothing about a file in #tryinclude that it cannot read.
UNREADABLE = "if it is there, Asterisk's user may not be able to read that file"
WRITE_AGAIN = "run `rented-numbers asterisk-config` again and do what it says"


@dataclass(frozen=True, slots=True)
class AskedAsterisk:
    """A running Asterisk that answers on its console.

    Attributes:
        console: Its console.
        settings: Our settings.
        shown: What `core show settings` shows.
    """

    console: Console
    settings: Settings
    shown: Mapping[str, str]

    @property
    def etc(self) -> Path:
        """The directory of its configuration files."""
        return Path(self.shown.get("Configuration directory", "/etc/asterisk"))


async def version(asterisk: AskedAsterisk, part: str) -> AsyncIterator[Finding]:
    """Checks that Asterisk is new enough."""
    found = output.version(await asterisk.console.run("core show version"))
    if found is None:
        yield Finding(
            part, Verdict.WARNING, "its version cannot be read", f"version {OLDEST_VERSION} or newer is needed"
        )
    elif found[0] < OLDEST_VERSION:
        yield Finding(part, Verdict.FAILED, f"{found[1]} is too old", f"install Asterisk {OLDEST_VERSION} or newer")
    else:
        yield Finding(part, Verdict.OK, found[1])


async def core_dumps(asterisk: AskedAsterisk, part: str) -> AsyncIterator[Finding]:
    """Checks that a crash leaves no copy of Asterisk's memory. Older versions do not say."""
    match asterisk.shown.get("Dump core on crash"):
        case "Yes":
            what = "a crash leaves a file with Asterisk's memory, hidden numbers included"
            fix = f"start Asterisk without -g, and {asterisk.etc}/asterisk.conf: dumpcore = no; {RESTART}"
            yield Finding(part, Verdict.WARNING, what, fix)
        case "No":
            yield Finding(part, Verdict.OK, "a crash leaves none")


async def modules(asterisk: AskedAsterisk, part: str) -> AsyncIterator[Finding]:
    """Checks that the needed modules run and the harmful ones do not."""
    running = output.running_modules(await asterisk.console.run("module show"))
    etc, settings = asterisk.etc, asterisk.settings
    missing = [each for each in needed_modules(settings.trunks_in_use, speaks=settings.speaks) if each not in running]
    unwanted = {name: f"{noload(name)}  so that {reason}" for name, reason in UNWANTED_MODULES.items()}
    harmful = {name: text for name, text in {**unwanted, CAPTURE.module: CAPTURE_OFF}.items() if name in running}
    for name in missing:
        fix = f"{etc}/modules.conf: load = {name}.so, or autoload = yes and no noload of it; {RESTART}"
        yield Finding(part, Verdict.FAILED, f"{name} does not run, and calls need it", fix)
    for name, text in harmful.items():
        yield Finding(part, Verdict.FAILED, f"{name} is loaded", f"{etc}/{text}; {RESTART}")
    if not missing and not harmful:
        yield Finding(part, Verdict.OK, "those that calls need run, and none that shows hidden numbers")


async def recorders(asterisk: AskedAsterisk, part: str, records: Records) -> AsyncIterator[Finding]:
    """Checks that no call records of a kind are written: they have the hidden number."""
    text = await asterisk.console.run(f"{records.name.lower()} show status")
    names = [each for each in output.record_backends(text) if not _is_idle(asterisk.etc, records.recorder_called(each))]
    for name in names:
        known = records.recorder_called(name)
        remedy = records.leave_out(known) if known else records.switch_off
        fix = f"{asterisk.etc}/{remedy}; {RESTART}"
        yield Finding(part, Verdict.FAILED, f"{name} stores a {records.name} of each call, with the hidden number", fix)
    if not names:
        yield Finding(part, Verdict.OK, "none are stored")


def _is_idle(etc: Path, recorder: Recorder | None) -> bool:
    """Returns whether a module that always registers surely has nothing to write."""
    with suppress(UnreadableConfig, OSError):
        return recorder is not None and recorder.always_registers and not has_work(PresentConfig(etc), recorder)
    return False


async def log(asterisk: AskedAsterisk, part: str) -> AsyncIterator[Finding]:
    """Checks that no log that is kept has levels that can show a hidden number or a PIN."""
    channels = output.log_channels(await asterisk.console.run("logger show channels"))
    harmful = [(channel, levels) for channel in channels if (levels := _unwanted_levels(asterisk, channel))]
    for channel, levels in harmful:
        name, file = _line_of(asterisk, channel)
        line = f"{name} => {mended_levels(channel.levels)}"
        fix = f"{asterisk.etc / file}: change to  {line}  {NO_LEVELS}; then: logger reload"
        where = channel.name or "Asterisk's standard output, which is kept,"
        yield Finding(part, Verdict.FAILED, f"{where} gets {', '.join(sorted(levels))}", fix)
    if not harmful:
        yield Finding(part, Verdict.OK, "no log that is kept gets debug, dtmf, verbose or warning")


def _unwanted_levels(asterisk: AskedAsterisk, channel: LogChannel) -> frozenset[str]:
    if channel.kind != "Console":
        return channel.levels & UNWANTED_LEVELS
    # The console always lists `verbose`, but shows as much of it as Asterisk was started with.
    silent = {"verbose"} if asterisk.shown.get("Root console verbosity", "0") == "0" else set()
    return (channel.levels & UNWANTED_LEVELS) - silent if _keeps_output(asterisk) else frozenset()


def _keeps_output(asterisk: AskedAsterisk) -> bool:
    """Returns whether Asterisk's standard output goes to a file or to the journal; False if that cannot be seen."""
    with suppress(OSError, ValueError):
        pid = int(Path(asterisk.shown["PID file"]).read_text())
        return not stat.S_ISCHR(Path(f"/proc/{pid}/fd/1").stat().st_mode)
    return False


def _line_of(asterisk: AskedAsterisk, channel: LogChannel) -> tuple[str, str]:
    """Returns the name that a channel has in logger.conf, and the file that has its line."""
    logs = asterisk.shown.get("Log directory", "")
    with suppress(UnreadableConfig, OSError):
        for option in PresentConfig(asterisk.etc).options("logger.conf", "logfiles").options:
            shown = {"console": ""}.get(option.name, option.name)
            # The console cuts long paths.
            if channel.name == shown or (channel.name and f"{logs}/{shown}".startswith(channel.name)):
                return option.name, option.file
    return (channel.name or "console"), "logger.conf"


async def sip(asterisk: AskedAsterisk, part: str) -> AsyncIterator[Finding]:
    """Checks the transport for the trunk, and that SIP messages are not kept."""
    console, etc = asterisk.console, asterisk.etc
    faults = [fault async for fault in _transport_faults(asterisk, part)]
    if output.parameters(await console.run("pjsip show settings")).get("debug", "no") != "no":
        fix = f"{etc}/pjsip.conf: the section of type global must have  debug = no; {RELOAD}"
        faults.append(
            Finding(part, Verdict.FAILED, "each SIP message is shown on the console and in verbose logs", fix)
        )
    if await _keeps_history(console):
        fix = "run in Asterisk's console: pjsip set history off, then: pjsip set history clear"
        faults.append(Finding(part, Verdict.FAILED, "the history of SIP messages has hidden numbers", fix))
    for fault in faults:
        yield fault
    if not faults:
        yield Finding(part, Verdict.OK, "there is a transport for the trunk, and no message is kept")


async def _keeps_history(console: Console) -> bool:
    try:
        return output.has_history(await console.run("pjsip show history where number < 1"))
    except UnknownCommand:
        return False


async def _transport_faults(asterisk: AskedAsterisk, part: str) -> AsyncIterator[Finding]:
    transports = output.transports(await asterisk.console.run("pjsip show transports"))
    for wanted in wanted_transports(trunk.next_hop for trunk in asterisk.settings.trunks_in_use):
        text = ", ".join(f"{name} = {value}" for name, value in wanted.items())
        fix = f"{asterisk.etc}/pjsip.conf: must have a transport ({text}); {RESTART}"
        names = [name for name, protocol in transports.items() if protocol == wanted["protocol"]]
        if not names:
            yield Finding(part, Verdict.FAILED, f"there is no {wanted['protocol']} transport for the trunk", fix)
        for name in names if "verify_server" in wanted else []:
            shown = output.parameters(await asterisk.console.run(f"pjsip show transport {name}"))
            if shown.get("verify_server", "").lower() != "yes":
                yield Finding(part, Verdict.FAILED, f"transport {name} does not check the carrier's certificate", fix)


async def endpoints(asterisk: AskedAsterisk, part: str) -> AsyncIterator[Finding]:
    """Checks that the two endpoints of each trunk are there, and that they close the leaks that they should."""
    wanted: dict[str, dict[str, str]] = {}
    for trunk in asterisk.settings.trunks_in_use:
        wanted[trunk.carrier] = {**CARRIER_OPTIONS, "context": "rented-numbers"}
        wanted[trunk.endpoint] = {**TRUNK_OPTIONS, "context": "rented-numbers-nowhere"}
    faults = [await _endpoint_fault(asterisk, part, name, options) for name, options in wanted.items()]
    for fault in filter(None, faults):
        yield fault
    if not any(faults):
        yield Finding(part, Verdict.OK, f"{', '.join(wanted)} are there and show nothing of the other side")


async def _endpoint_fault(asterisk: AskedAsterisk, part: str, name: str, options: Mapping[str, str]) -> Finding | None:
    shown = output.parameters(await asterisk.console.run(f"pjsip show endpoint {name}"))
    wrong = [key for key, value in options.items() if shown.get(key) != value]
    if not shown:
        fix = f'{asterisk.etc}/pjsip.conf: add  #tryinclude "pjsip_rented_numbers.conf"; {RELOAD}'
        return Finding(part, Verdict.FAILED, f"there is no endpoint {name}", f"{fix} ({UNREADABLE})")
    if wrong:
        what = f"{name} has " + ", ".join(f"{key} = {shown.get(key, 'nothing')}" for key in wrong)
        fix = f"no other file may have a section [{name}], and {asterisk.etc}/pjsip_rented_numbers.conf must be ours"
        return Finding(part, Verdict.FAILED, what, f"{fix}: {WRITE_AGAIN}; {RELOAD}")
    return None


async def dialplan(asterisk: AskedAsterisk, part: str) -> AsyncIterator[Finding]:
    """Checks that our dialplan is loaded, and the beep."""
    missing = [
        each for each in CONTEXTS if each not in output.contexts(await asterisk.console.run(f"dialplan show {each}"))
    ]
    if missing:
        fix = f'{asterisk.etc}/extensions.conf: add  #tryinclude "extensions_rented_numbers.conf"; {RELOAD}'
        yield Finding(part, Verdict.FAILED, f"there is no context {missing[0]}", f"{fix} ({UNREADABLE})")
    elif not set(BEEP.split("#")) <= set((await asterisk.console.run("features show")).split()):
        # Asterisk would pass the digits that begin the beep on to the caller.
        fix = f'{asterisk.etc}/features.conf: add  #tryinclude "features_rented_numbers.conf"; {RELOAD}'
        yield Finding(part, Verdict.FAILED, "the beep before a call's end is not loaded", f"{fix} ({UNREADABLE})")
    else:
        yield Finding(part, Verdict.OK, "ours is loaded")


async def manager(asterisk: AskedAsterisk, part: str) -> AsyncIterator[Finding]:
    """Checks that our manager user is loaded, with no more rights than it needs."""
    shown = output.fields(await asterisk.console.run(f"manager show user {AMI_USER}"))
    rights = {name: shown.get(name, "") for name in AMI_RIGHTS}
    if shown.get("username") != AMI_USER:
        fix = f'{asterisk.etc}/manager.conf: add  #tryinclude "manager_rented_numbers.conf"; {RELOAD}'
        yield Finding(part, Verdict.FAILED, f"there is no user {AMI_USER}", f"{fix} ({UNREADABLE})")
    elif rights != AMI_RIGHTS:
        what = ", ".join(f"{name} {value or 'none'}" for name, value in rights.items())
        yield Finding(part, Verdict.FAILED, f"{AMI_USER} has other rights: {what}", f"{WRITE_AGAIN}; {RELOAD}")
    else:
        yield Finding(part, Verdict.OK, f"{AMI_USER} is there, with no more rights than it needs")
