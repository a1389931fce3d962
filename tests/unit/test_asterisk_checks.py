"""What `doctor` says about a running Asterisk, by what its console prints."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from engine.asterisk.config_files import AMI_USER
from engine.asterisk.console import CommandRefused, ConsoleUnreachable, UnknownCommand
from engine.asterisk.exposures import NEEDED_MODULES
from engine.config.settings import Settings
from engine.local.findings import Finding, Verdict
from engine.local.running_asterisk import CHECKS, PART, examine_asterisk, running_asterisk
from tests.programs import ended
from tests.unit import recorded_console as recorded
from tests.unit.good_console import GOOD, HISTORY, ROW, RecordedConsole, endpoint
from tests.unit.test_settings import alone

__all__ = ["alone"]  # a fixture


async def examined(etc: Path, changes: dict[str, str | Exception], **settings: object) -> list[Finding]:
    console = RecordedConsole(GOOD | changes, etc)
    return await examine_asterisk(console, Settings.model_validate({"manage_asterisk": False, **settings}))


async def test_a_good_asterisk_has_one_good_finding_for_each_part(tmp_path: Path) -> None:
    findings = await examined(tmp_path, {})
    assert [finding.part for finding in findings] == [part for part, _ in CHECKS]
    assert {finding.verdict for finding in findings} == {Verdict.OK}


OLD = "Asterisk 18.26.4 built by root @ host\n"


@pytest.mark.parametrize(
    ("part", "changes", "said", "mended"),
    [
        ("version", {"core show version": OLD}, ["18.26.4 is too old"], "Asterisk 20 or newer"),
        (
            "modules",
            {"module show": recorded.MODULES + "".join(ROW.format(name) for name in NEEDED_MODULES)},
            ["res_pjsip_messaging is loaded"],
            "{etc}/modules.conf: add  noload = res_pjsip_messaging.so",
        ),
        (
            "modules",
            {"module show": "".join(ROW.format(name) for name in NEEDED_MODULES if name != "func_sha1")},
            ["func_sha1 does not run"],
            "{etc}/modules.conf: load = func_sha1.so",
        ),
        (
            "modules",
            {"module show": f"{GOOD['module show']}{ROW.format('res_hep_pjsip')}"},
            ["res_hep_pjsip is loaded"],
            "{etc}/modules.conf: add  noload = res_hep_pjsip.so",
        ),
        (
            "CDR",
            {"cdr show status": recorded.CDR_STATUS},
            ["CDR File custom bac stores", "csv stores"],
            "{etc}/modules.conf: add  noload = cdr_",
        ),
        (
            "CDR",
            {"cdr show status": recorded.CDR_STATUS.replace("csv", "a back-end of the future")},
            ["CDR File custom bac stores", "a back-end of the future stores"],
            "{etc}/",
        ),
        (
            "CEL",
            {"cel show status": recorded.CEL_STATUS},
            ["CEL PGSQL backend stores", "Manager Event Logging stores"],
            "{etc}/modules.conf: add  noload = cel_",
        ),
        (
            "log",
            {"logger show channels": recorded.LOG_CHANNELS},
            [
                "syslog.local0 gets debug, dtmf",
                "/var/log/asterisk/messages.json gets verbose, warning",
                "/var/log/asterisk/messages.log gets warning",
            ],
            "{etc}/logger.conf: change to  ",
        ),
        ("SIP", {"pjsip show transports": recorded.NO_TRANSPORTS}, ["no udp transport"], "{etc}/pjsip.conf"),
        (
            "SIP",
            {"pjsip show settings": recorded.PJSIP_SETTINGS.replace("@debug@", "yes")},
            ["each SIP message is shown"],
            "{etc}/pjsip.conf",
        ),
        ("SIP", {HISTORY: recorded.HISTORY_ENTRY}, ["the history of SIP messages"], "pjsip set history off"),
        (
            "endpoints",
            {"pjsip show endpoint carrier-main": recorded.NO_ENDPOINT},
            ["no endpoint carrier-main"],
            "{etc}/pjsip",
        ),
        (
            "endpoints",
            {"pjsip show endpoint trunk-main": endpoint("trunk-main", "rented-numbers-nowhere", direct_media="true")},
            ["trunk-main has direct_media = true"],
            "asterisk-config",
        ),
        (
            "endpoints",
            {"pjsip show endpoint carrier-main": endpoint("carrier-main", "from-pstn")},
            ["carrier-main has context = from-pstn"],
            "no other file may have a section [carrier-main]",
        ),
        (
            "dialplan",
            {"dialplan show rented-numbers-ended": recorded.NO_DIALPLAN},
            ["no context rented-numbers-ended"],
            "{etc}/extensions.conf",
        ),
        (
            "dialplan",
            {"features show": recorded.FEATURES.replace("rented-numbers-beep-caller", "another")},
            ["the beep before a call's end is not loaded"],
            "{etc}/features.conf",
        ),
        (
            "manager",
            {"manager show user rented-numbers": recorded.NO_MANAGER_USER},
            [f"no user {AMI_USER}"],
            "{etc}/manager.conf",
        ),
        (
            "manager",
            {"manager show user rented-numbers": recorded.MANAGER_USER.replace("@write@", "system,call")},
            ["write perm system,call"],
            "rented-numbers asterisk-config",
        ),
    ],
)
async def test_a_fault_is_failed_and_names_what_mends_it(
    tmp_path: Path, part: str, changes: dict[str, str | Exception], said: list[str], mended: str
) -> None:
    findings = await examined(tmp_path, changes)
    wrong = [finding for finding in findings if finding.verdict is not Verdict.OK]
    assert {finding.part for finding in wrong} <= {f"asterisk {part}"}
    assert [finding.verdict for finding in wrong] == [Verdict.FAILED] * len(said)
    for finding, text in zip(wrong, said, strict=True):
        assert text in finding.what
        assert mended.replace("{etc}", str(tmp_path)) in finding.fix
    assert len({finding.part for finding in findings}) == len(CHECKS)


@pytest.mark.parametrize(("shown", "verdicts"), [("No", [Verdict.OK]), ("Yes", [Verdict.WARNING]), (None, [])])
async def test_core_dumps_are_a_warning(tmp_path: Path, shown: str | None, verdicts: list[Verdict]) -> None:
    line = "  Dump core on crash:          No\n"
    assert line in recorded.CORE_SETTINGS
    settings = recorded.CORE_SETTINGS.replace(line, "" if shown is None else line.replace("No", shown))
    findings = await examined(tmp_path, {"core show settings": settings})
    assert [finding.verdict for finding in findings if finding.part == "asterisk core dumps"] == verdicts
    assert {finding.part for finding in findings if finding.verdict is not Verdict.OK} <= {"asterisk core dumps"}


@pytest.mark.parametrize(
    ("transports", "verify", "said"),
    [
        (recorded.TRANSPORTS, "Yes", []),
        (recorded.TRANSPORTS, "No", ["transport tls does not check the carrier's certificate"]),
        (recorded.NO_TRANSPORTS, "Yes", ["there is no tls transport for the trunk"]),
    ],
)
async def test_a_trunk_over_tls_needs_a_transport_that_checks_it(
    tmp_path: Path, transports: str, verify: str, said: list[str]
) -> None:
    changes: dict[str, str | Exception] = {
        "pjsip show transports": transports,
        "pjsip show transport tls": recorded.TRANSPORT.replace("@verify@", verify),
    }
    findings = await examined(tmp_path, changes, trunk_uri="sip:sbc.carrier.example;transport=tls")
    assert [finding.what for finding in findings if finding.verdict is Verdict.FAILED] == said


@pytest.mark.parametrize("has_connection", [False, True])
async def test_a_back_end_that_registers_always_counts_if_its_file_gives_it_work(
    tmp_path: Path, has_connection: bool
) -> None:
    (tmp_path / "cdr_adaptive_odbc.conf").write_text("[a]\nconnection=x\n" if has_connection else ";[a]\n")
    status = recorded.CDR_WITHOUT_BACKENDS.replace("(none)", "Adaptive ODBC")
    findings = await examined(tmp_path, {"cdr show status": status})
    wrong = [finding.part for finding in findings if finding.verdict is Verdict.FAILED]
    assert wrong == ["asterisk CDR"] * has_connection


async def test_the_file_that_has_the_line_of_a_log_is_named(tmp_path: Path) -> None:
    (tmp_path / "logger.conf").write_text("[logfiles]\n#include logger_logfiles_additional.conf\n")
    (tmp_path / "logger_logfiles_additional.conf").write_text("messages.log => notice,warning,error\n")
    findings = await examined(tmp_path, {"logger show channels": recorded.LOG_CHANNELS})
    [fix] = [finding.fix for finding in findings if "messages.log" in finding.what]
    assert fix.startswith(
        f"{tmp_path}/logger_logfiles_additional.conf: change to  messages.log => error,notice  because "
    )


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize(("verbosity", "levels"), [("0", "warning"), ("3", "verbose, warning")])
def test_the_console_counts_where_its_output_is_kept(tmp_path: Path, kept: bool, verbosity: str, levels: str) -> None:
    """A systemd unit sends it to the journal, unless it says otherwise."""
    with (tmp_path / "journal").open("w") as journal:
        output = journal if kept else subprocess.DEVNULL
        with ended(subprocess.Popen(["/bin/sleep", "60"], stdout=output)) as asterisk:
            (tmp_path / "asterisk.pid").write_text(f"{asterisk.pid}\n")
            changes: dict[str, str | Exception] = {
                "core show settings": recorded.CORE_SETTINGS.replace(
                    "verbosity:      0", f"verbosity:      {verbosity}"
                ),
                "logger show channels": recorded.QUIET_CHANNELS.replace("- ERROR VERBOSE", "- WARNING ERROR VERBOSE"),
            }
            findings = asyncio.run(examined(tmp_path, changes))
            asterisk.kill()
    said = [finding.what for finding in findings if finding.verdict is Verdict.FAILED]
    assert said == [f"Asterisk's standard output, which is kept, gets {levels}"] * kept


@pytest.mark.parametrize(
    "error", [CommandRefused("You don't have permissions to run"), UnknownCommand("No such command")]
)
async def test_a_part_that_cannot_be_asked_is_a_warning_and_the_others_are_checked(
    tmp_path: Path, error: Exception
) -> None:
    findings = await examined(tmp_path, {"pjsip show transports": error, "cdr show status": recorded.CDR_STATUS})
    wrong = {finding.part: finding.verdict for finding in findings if finding.verdict is not Verdict.OK}
    assert wrong == {"asterisk SIP": Verdict.WARNING, "asterisk CDR": Verdict.FAILED}
    assert len({finding.part for finding in findings}) == len(CHECKS)


async def test_a_console_that_cannot_be_reached_is_one_warning(tmp_path: Path) -> None:
    unreachable = ConsoleUnreachable("Unable to connect to remote asterisk (does asterisk.ctl exist?)")
    [finding] = await examined(tmp_path, {"core show settings": unreachable})
    assert (finding.part, finding.verdict) == (PART, Verdict.WARNING)
    assert "Unable to connect" in finding.what
    assert finding.fix.startswith("start Asterisk" if os.geteuid() == 0 else "run `doctor` as root")


def test_the_program_is_found_in_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(manage_asterisk=False, data_dir=tmp_path)
    monkeypatch.setattr("engine.local.running_asterisk.MORE_PROGRAMS", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    [finding] = running_asterisk(settings)
    assert (finding.part, finding.verdict, finding.what) == (
        PART,
        Verdict.WARNING,
        "there is no program `asterisk` to ask",
    )
    (tmp_path / "asterisk").write_text("#!/bin/sh\necho Unable to connect; exit 1\n")
    (tmp_path / "asterisk").chmod(0o700)
    [finding] = running_asterisk(settings)
    assert (finding.verdict, finding.what) == (Verdict.WARNING, "Unable to connect")


def test_our_own_asterisk_that_does_not_run_is_not_asked(tmp_path: Path) -> None:
    assert running_asterisk(Settings(data_dir=tmp_path)) == []


@pytest.mark.parametrize(
    ("state", "status", "verdict", "what", "fix"),
    [
        ("Registered", "Avail", Verdict.OK, "is registered", ""),
        ("Rejected", "Avail", Verdict.FAILED, "answers, but refuses", "`rented-numbers trunks password main`"),
        ("Rejected", "Unavail", Verdict.FAILED, "does not answer", "check uri, outbound_proxy and the firewall"),
        ("Rejected", "NonQual", Verdict.FAILED, "refuses to register it, or does not answer", "check username"),
        ("Unregistered", "Avail", Verdict.FAILED, "answers, but refuses", "check username"),
        ("Stopped", "Unknown", Verdict.FAILED, "refuses to register it, or does not answer", "check username"),
    ],
)
async def test_a_trunk_that_is_not_registered_is_named_with_the_likely_reason(
    tmp_path: Path, state: str, status: str, verdict: Verdict, what: str, fix: str
) -> None:
    answers: dict[str, str | Exception] = {
        "pjsip show registrations": recorded.REGISTRATIONS.replace("@state@", state),
        "pjsip show contacts": recorded.CONTACTS.replace("@status@", status),
        **{f"pjsip show endpoint {name}-second": endpoint(f"{name}-second", "x") for name in ("trunk", "carrier")},
    }
    account = {"username": "u", "register": True}
    trunks = [{"name": name, "uri": "sip:198.51.100.7", **account} for name in ("main", "second")]
    findings = await examined(tmp_path, answers, trunks=trunks)
    main, second = [each for each in findings if each.part == "asterisk registrations"]
    assert (second.verdict, second.what) == (Verdict.OK, "trunk second is registered with its carrier")
    assert main.verdict is verdict
    assert what in main.what
    assert fix in main.fix
