"""Our filter with the real fail2ban: which address each line matches, and that peers cannot forge addresses."""

import shutil
import subprocess
from pathlib import Path

from engine.runtime.security_log import NotedEvent, SecurityLog
from tests.fail2ban import FILES, FILTER, PROGRAM, banned_by, banned_of

STAMP = "2026-11-23T08:30:52.677+0000"
FORGED = "192.0.2.99"
REAL = "203.0.113.7"


def line(event: str, account: str = "x", session: str = "s", rest: str = "", severity: str = "Error") -> bytes:
    """Return a line as Asterisk 22 writes it. A peer chooses `account` and `session`."""
    return (
        f'[{STAMP}] SECURITY[620] res_security_log.c: SecurityEvent="{event}",EventTV="{STAMP}",Severity="{severity}",'
        f'Service="PJSIP",EventVersion="1",AccountID="{account}",SessionID="{session}",'
        f'LocalAddress="IPV4/UDP/198.51.100.1/5060",RemoteAddress="IPV4/UDP/{REAL}/33005"{rest}'
    ).encode("utf-8", "surrogateescape")


def digest(response: str = "0", nonce: str = "1/2") -> str:
    return f',Challenge="{nonce}",Response="{response}",ExpectedResponse=""'


def test_our_own_lines_match(tmp_path: Path) -> None:
    path = tmp_path / "security.log"
    security = SecurityLog(path, {"HTTP": ("127.0.0.1", 8080), "AGI": ("::1", 4573)})
    security.refused("HTTP", "InvalidPassword", "203.0.113.9")
    security.refused("HTTP", "InvalidPassword", "2001:db8::9")
    security.refused("AGI", "FailedACL", "::ffff:198.51.100.4")
    security.refused("AGI", "InvalidPassword", "198.51.100.5")
    assert banned_by(path) == ["203.0.113.9", "2001:db8::9", "198.51.100.4", "198.51.100.5"]


FAILURES = {
    "an unknown source": line("InvalidAccountID"),
    "a wrong password": line("ChallengeResponseFailed", rest=digest()),
    "a wrong secret of AMI": line("InvalidPassword", rest=',SessionTV="1970-01-01T00:00:00.000+0000"'),
    "an address outside an ACL": line("FailedACL", rest=',ACLName="registrar_attempt"'),
    "whom the list of addresses keeps out": (
        f"[{STAMP}] WARNING[1] res_pjsip_acl.c: Incoming SIP message from {REAL}:5060 did not pass ACL test".encode()
    ),
    "a caller's number": line("InvalidAccountID", account="+33199001234"),
}


def found(lines: dict[str, bytes], directory: Path) -> list[str]:
    """Return the names of the lines that match, in one run. Each line has its own address."""
    peers = {f"203.0.113.{index + 10}": name for index, name in enumerate(lines)}
    addresses = banned_of(
        [lines[name].replace(REAL.encode(), peer.encode()) for peer, name in peers.items()], directory
    )
    return [peers.get(address, address) for address in addresses]


def test_each_failure_matches_with_its_address(tmp_path: Path) -> None:
    assert found(FAILURES, tmp_path) == list(FAILURES)


def test_an_ipv6_address_matches(tmp_path: Path) -> None:
    over_tls = line("InvalidAccountID").replace(f"IPV4/UDP/{REAL}".encode(), b"IPV6/TLS/2001:db8::7")
    assert banned_of([over_tls], tmp_path) == ["2001:db8::7"]


ORDINARY = [
    line("SuccessfulAuth", rest=',UsingPassword="1"', severity="Informational"),
    line("ChallengeSent", rest=',Challenge=""', severity="Informational"),
    f"[{STAMP}] Asterisk 22.10.1 built by nobody".encode(),
    f"[{STAMP}] NOTICE[1] loader.c: 61 modules will be loaded.".encode(),
    f'[{STAMP}] NOTICE[1] chan.c: SecurityEvent="InvalidPassword",RemoteAddress="IPV4/UDP/{FORGED}/1"'.encode(),
    # In Asterisk's other log the peer chooses the last but one word: Debian's filter finds 192.0.2.99 here.
    f"[{STAMP}] NOTICE[1] res_pjsip/pjsip_distributor.c: Request 'OPTIONS' from '\"x' failed for '{FORGED}:5060' "
    f"(callid: a\" <sip:x@y>' failed for '{REAL}:5060' (callid: 6827) - No matching endpoint found".encode(),
    f'SecurityEvent="InvalidPassword",A="",RemoteAddress="IPV4/UDP/{FORGED}/1"'.encode(),
    b"",
]


def test_ordinary_lines_do_not_match(tmp_path: Path) -> None:
    assert banned_of(ORDINARY, tmp_path) == []


def test_what_people_do_on_the_web_pages_bans_nobody(tmp_path: Path) -> None:
    log = SecurityLog(tmp_path / "log", {"Console": ("127.0.0.1", 8080)})
    log.noted(NotedEvent("Console", "HiddenNumberShown", "OPERATOR", "203.0.113.9", "ses_1", "bkg_1"))
    log.refused("Console", "InvalidPassword", "203.0.113.10")
    assert banned_of((tmp_path / "log").read_bytes().splitlines(), tmp_path) == ["203.0.113.10"]


FIELD = f'",RemoteAddress="IPV4/UDP/{FORGED}/5060'
ESCAPED = FIELD.replace('"', '\\"')  # pjsip takes a quote in a parameter of a digest only as \"
FORGERIES = {
    "an address in the user": line("InvalidAccountID", account="x" + FIELD),
    "an address in the Call-ID": line("InvalidAccountID", session="x" + FIELD),
    "a whole line's end in the Call-ID": line(
        "InvalidAccountID", session=f'x",LocalAddress="IPV4/UDP/1.2.3.4/5060{FIELD}",Y="'
    ),
    "an address in the response": line("ChallengeResponseFailed", rest=digest(response="x" + ESCAPED)),
    "an address in the nonce": line("ChallengeResponseFailed", rest=digest(nonce="x" + ESCAPED)),
    "a backslash that would hide the real one": line(
        "ChallengeResponseFailed", session=f'x{FIELD}",Y="\\', rest=digest(response="\\\\")
    ),
    "a Call-ID and a response that fit together": line(
        "ChallengeResponseFailed",
        session=f'x{FIELD}",Challenge="x",Response="\\',
        rest=digest(response='\\",ExpectedResponse=\\"'),
    ),
    "a line's end in the user": line("InvalidAccountID", account="x\ny"),
    "several of them": line("InvalidAccountID", account='\n\n"y",\n'),
    "a date after it": line("InvalidAccountID", account="x\n[2020-01-01T00:00:00.000+0000] SEC"),
    "a new line with an address": line("InvalidAccountID", account="x\ny", session="x" + FIELD),
    "bytes that are no UTF-8": line("InvalidAccountID", account="\udcff\udcfe\x01", session="\udcc3"),
}


def test_nothing_that_a_peer_sends_forges_or_hides_an_address(tmp_path: Path) -> None:
    assert found(FORGERIES, tmp_path) == list(FORGERIES)


def test_fail2ban_reads_the_date_of_the_lines(tmp_path: Path) -> None:
    """Otherwise fail2ban would date each line by the time of reading."""
    log = tmp_path / "security.log"
    log.write_bytes(line("InvalidAccountID") + b"\n")
    done = subprocess.run([PROGRAM, str(log), str(FILTER)], capture_output=True, text=True, timeout=60, check=True)
    assert "[1] ^\\[Year-Month-DayT24hour:Minute:Second" in done.stdout


def test_fail2ban_accepts_the_jail(tmp_path: Path) -> None:
    directory = tmp_path / "fail2ban"
    shutil.copytree(PROGRAM.parents[1] / "fail2ban-tree" / "etc" / "fail2ban", directory)
    for installed in (directory / "jail.d").iterdir():
        installed.unlink()  # Debian's own jails, whose logs do not exist
    shutil.copytree(FILES, directory, dirs_exist_ok=True)
    jail = directory / "jail.d" / "rented-numbers.conf"
    for name in ("security.log", "asterisk.log"):
        (tmp_path / name).touch()
    paths = ("/var/lib/rented-numbers/security.log", "/var/lib/rented-numbers/asterisk/log/security")
    text = jail.read_text().replace("/var/lib/rented-numbers/asterisk/log/messages", str(tmp_path / "asterisk.log"))
    jail.write_text(text)
    assert all(path in jail.read_text() for path in paths)
    text = jail.read_text().replace(paths[0], str(tmp_path / "security.log"))
    jail.write_text(text.replace(paths[1], str(tmp_path / "asterisk.log")))
    client = PROGRAM.with_name("fail2ban-client")
    done = subprocess.run([client, "-c", directory, "-d"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "['start', 'rented-numbers']" in done.stdout
    assert f"'{tmp_path}/security.log'" in done.stdout
