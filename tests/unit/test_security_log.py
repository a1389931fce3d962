"""The security log records every refused peer; it raises nothing, stays bounded, and repeats no client's text."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from engine.runtime.addresses import plain_address
from engine.runtime.security_log import NEWEST_BYTES, NotedEvent, SecurityLog

LINE = re.compile(
    r"\[(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000)\] SECURITY\[\d+\] res_security_log\.c: "
    r'SecurityEvent="InvalidPassword",EventTV="\1",Severity="Error",Service="HTTP",EventVersion="1",'
    r'AccountID="<unknown>",SessionID="<unknown>",LocalAddress="IPV4/TCP/127\.0\.0\.1/8080",'
    r'RemoteAddress="(IPV[46]/TCP/[0-9a-f.:]+/0)"\n'
)
LISTENERS = {"HTTP": ("127.0.0.1", 8080), "AGI": ("localhost", 4573)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "security.log"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("203.0.113.9", "IPV4/TCP/203.0.113.9/0"),
        ("::ffff:203.0.113.9", "IPV4/TCP/203.0.113.9/0"),
        ("2001:db8::1", "IPV6/TCP/2001:db8::1/0"),
        ("fe80::1%eth0", "IPV6/TCP/fe80::1/0"),
    ],
)
def test_a_refusal_is_logged_in_asterisks_format(path: Path, address: str, shown: str) -> None:
    SecurityLog(path, LISTENERS).refused("HTTP", "InvalidPassword", address)
    match = LINE.fullmatch(path.read_text())
    assert match
    assert match[2] == shown


def test_the_file_exists_from_the_start_and_is_private(path: Path) -> None:
    SecurityLog(path, LISTENERS)
    assert path.read_bytes() == b""
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("service", ["AGI", "Unknown"])
def test_a_service_without_a_listening_address_still_logs_a_line(path: Path, service: str) -> None:
    SecurityLog(path, LISTENERS).refused(service, "FailedACL", "203.0.113.9")
    assert f'Service="{service}"' in path.read_text()
    assert 'RemoteAddress="IPV4/TCP/203.0.113.9/0"' in path.read_text()


@pytest.mark.parametrize(
    "address",
    ["", "nowhere", "203.0.113.9/32", '203.0.113.9",X="', "203.0.113.9\n", "0.0.0.0", "::"],  # noqa: S104
)
def test_a_peer_that_is_no_address_is_not_logged(path: Path, address: str) -> None:
    with capture_logs():
        SecurityLog(path, LISTENERS).refused("HTTP", "InvalidPassword", address)
    assert path.read_bytes() == b""


@pytest.mark.parametrize("word", ["", "a b", 'a"', "a\n", "a,b", "x" * 33, "é"])
def test_a_service_or_event_must_be_one_word(path: Path, word: str) -> None:
    security = SecurityLog(path, LISTENERS)
    with pytest.raises(ValueError, match="word"):
        security.refused(word, "InvalidPassword", "203.0.113.9")
    with pytest.raises(ValueError, match="word"):
        security.refused("HTTP", word, "203.0.113.9")
    assert path.read_bytes() == b""


def test_the_file_never_takes_more_than_twice_its_limit(path: Path) -> None:
    security = SecurityLog(path, LISTENERS, max_bytes=2_000)
    for last in range(200):
        security.refused("HTTP", "InvalidPassword", f"203.0.113.{last}")
    files = sorted(each.name for each in path.parent.iterdir())
    assert files == ["security.log", "security.log.1"]
    assert all(each.stat().st_size <= 2_000 for each in path.parent.iterdir())
    assert "203.0.113.199/0" in path.read_text()
    assert LINE.match(path.read_text())  # no line is cut in two


def test_a_file_that_was_moved_away_is_created_again(path: Path) -> None:
    security = SecurityLog(path, LISTENERS)
    security.refused("HTTP", "InvalidPassword", "203.0.113.1")
    path.rename(path.with_name("moved"))
    security.refused("HTTP", "InvalidPassword", "203.0.113.2")
    assert "203.0.113.2/0" in path.read_text()
    assert "203.0.113.2/0" not in path.with_name("moved").read_text()


def test_a_full_disk_raises_nothing_and_is_logged_once(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    for path in (Path("/dev/full"), full, tmp_path / "no" / "directory", tmp_path):
        security = SecurityLog(path, LISTENERS)
        with capture_logs() as logs:
            for _ in range(3):
                security.refused("HTTP", "InvalidPassword", "203.0.113.9")
        assert [entry["event"] for entry in logs] == ["security_log_failed"]


def test_a_logged_address_has_no_scope() -> None:
    assert str(plain_address("fe80::1%lo")) == "fe80::1"
    for wrong in ("%lo", "1.2.3", "1.2.3.4.5", "x"):
        with pytest.raises(ValueError):
            plain_address(wrong)


SHOWN = NotedEvent("Console", "HiddenNumberShown", "OPERATOR", "203.0.113.9", "ses_1", "bkg_1")


def test_what_was_done_is_noted_and_read_back_newest_first(path: Path) -> None:
    log = SecurityLog(path, LISTENERS)
    assert log.newest(5) == []
    log.noted(SHOWN)
    log.refused("HTTP", "InvalidPassword", "203.0.113.10")
    refused, noted = log.newest(5)
    assert (refused["SecurityEvent"], refused["Severity"]) == ("InvalidPassword", "Error")
    assert noted == {
        "SecurityEvent": "HiddenNumberShown",
        "EventTV": noted["EventTV"],
        "Severity": "Informational",
        "Service": "Console",
        "AccountID": "OPERATOR",
        "SessionID": "ses_1",
        "RemoteAddress": "IPV4/TCP/203.0.113.9/0",
        "Subject": "bkg_1",
    }
    assert [each["SecurityEvent"] for each in log.newest(1)] == ["InvalidPassword"]


@pytest.mark.parametrize(
    "changes",
    [{"event": "two words"}, {"role": ""}, {"session_id": 'x"'}, {"subject": "a\nb"}, {"subject": "+32470123456"}],
    ids=str,
)
def test_only_words_and_ids_are_noted(path: Path, changes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="words and ids"):
        SecurityLog(path, LISTENERS).noted(replace(SHOWN, **changes))
    assert path.read_bytes() == b""


def test_a_number_in_an_id_is_masked(path: Path) -> None:
    SecurityLog(path, LISTENERS).noted(replace(SHOWN, subject="32470123456"))
    assert "32470123456" not in path.read_text()


def test_no_more_than_the_end_of_a_long_log_is_read(path: Path) -> None:
    log = SecurityLog(path, LISTENERS)
    log.refused("HTTP", "InvalidPassword", "203.0.113.9")
    path.write_bytes(path.read_bytes() * (2 * NEWEST_BYTES // len(path.read_bytes())))
    found = log.newest(10**6)
    assert 100 < len(found) < NEWEST_BYTES / 100
    assert {each["SecurityEvent"] for each in found} == {"InvalidPassword"}
