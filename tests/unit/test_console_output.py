"""What is read from the console's recorded outputs."""

import pytest

from engine.asterisk import console_output as output
from tests.unit import recorded_console as recorded


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (recorded.VERSION, (22, "22.10.1")),
        ("Asterisk 20.9.3 built by mockbuild @ host on a x86_64 running Linux on 2024-09-10\n", (20, "20.9.3")),
        ("Asterisk certified-20.7-cert3 built by root @ host on a x86_64 running Linux\n", (20, "20.7-cert3")),
        ("Asterisk certified/18.9-cert5 built by root @ host\n", (18, "18.9-cert5")),
        ("Asterisk GIT-master-1a2b3c built by root\n", None),
    ],
)
def test_version(text: str, read: tuple[int, str] | None) -> None:
    assert output.version(text) == read


def test_modules_that_run() -> None:
    running = {"app_cdr", "cdr_csv", "res_pjsip_endpoint_identifier_ip", "res_pjsip_messaging"}
    assert output.running_modules(recorded.MODULES) == running


def test_fields_of_the_core() -> None:
    shown = output.fields(recorded.CORE_SETTINGS.replace("@etc@", "/etc/asterisk"))
    assert shown["Configuration directory"] == "/etc/asterisk"
    assert shown["Root console verbosity"] == "0"
    assert shown["System name"] == ""


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (recorded.CDR_STATUS, ["Adaptive ODBC", "CDR File custom bac", "csv"]),
        (recorded.CDR_WITHOUT_BACKENDS, []),
        (recorded.CDR_OFF, []),
        (recorded.CEL_STATUS, ["ODBC CEL backend", "CEL PGSQL backend", "Manager Event Logging"]),
        (recorded.CEL_OFF, []),
        ("CEL Logging: Enabled\nCEL Tracking Event: ALL\n", []),
    ],
)
def test_back_ends_that_get_records(text: str, names: list[str]) -> None:
    assert output.record_backends(text) == names


def test_log_channels() -> None:
    assert [(name, kind, set(levels)) for name, kind, levels in output.log_channels(recorded.LOG_CHANNELS)] == [
        ("syslog.local0", "Syslog", {"debug", "dtmf"}),
        ("/var/log/asterisk/fail2ban", "File", {"notice", "security"}),
        ("/var/log/asterisk/messages.json", "File", {"notice", "warning", "verbose"}),
        ("/var/log/asterisk/messages.log", "File", {"notice", "warning", "error"}),
        ("", "Console", {"notice", "warning", "error", "verbose"}),
    ]


def test_transports() -> None:
    assert output.transports(recorded.TRANSPORTS) == {"transport-udp": "udp", "tls": "tls"}
    assert output.transports(recorded.NO_TRANSPORTS) == {}


def test_parameters_of_an_endpoint() -> None:
    shown = output.parameters(recorded.ENDPOINT.replace("@context@", "rented-numbers"))
    assert (shown["context"], shown["allow_transfer"]) == ("rented-numbers", "false")
    assert output.parameters(recorded.NO_ENDPOINT) == {}


@pytest.mark.parametrize(
    ("text", "has"), [(recorded.HISTORY_HEAD, False), (recorded.HISTORY, True), (recorded.HISTORY_ENTRY, True)]
)
def test_history(text: str, has: bool) -> None:
    assert output.has_history(text) is has


def test_contexts() -> None:
    assert output.contexts(recorded.DIALPLAN.replace("@context@", "rented-numbers")) == {"rented-numbers"}
    assert output.contexts(recorded.NO_DIALPLAN) == set()
