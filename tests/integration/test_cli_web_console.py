"""Access to the console from the command line, and the console of a real engine with what real commands say."""

import json
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from phones.ports import free_port
from tests.integration.cli_runner import Cli, CliInProcess, contents, wait_until_it_answers
from tests.programs import ended

PATIENCE_SECONDS = 60.0


@pytest.fixture
def cli(tmp_path: Path) -> CliInProcess:
    cli = CliInProcess(tmp_path)
    cli.set_up()
    return cli


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def ask(url: str, form: dict[str, str] | None = None, **headers: str) -> tuple[int, str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    data = None if form is None else urlencode(form).encode()
    try:
        with urllib.request.build_opener(NoRedirect).open(urllib.request.Request(url, data, named)) as answer:  # noqa: S310
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers


def test_links_and_sessions_are_shown_once_listed_and_ended(cli: Cli) -> None:
    made = cli.json("console", "link", "--role", "viewer", "--life", "7d")
    code = made["link"].partition("#")[2]
    secret = cli("console", "session", "--role", "admin").stdout.strip()
    assert made["link"] == f"http://127.0.0.1:8080/console/sign-in#{code}"
    kept = b"".join(contents(cli.data).values())
    assert [each for each in (code, secret) if each.encode() in kept] == []
    [listed] = cli.json("console", "sessions")
    assert (listed["role"], listed["account"]) == ("ADMIN", None)
    assert cli.json("console", "end", listed["id"]) == {"ended": 1}
    assert "there is no such open session" in cli.refused("console", "end", listed["id"])
    cli("console", "session")
    assert cli.json("console", "end", "--all") == {"ended": 1}
    assert cli.json("console", "sessions") == []
    assert cli.rows("SELECT COUNT(*) FROM web_links") == [(0,)]
    log = (cli.data / "security.log").read_text()
    assert re.findall(r'SecurityEvent="(\w+)"', log) == [
        "LinkMade",
        "SessionMade",
        "SessionsEnded",
        "SessionMade",
        "SessionsEnded",
    ]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("link", "--role", "customer"), "--role must be viewer, operator or admin"),
        (("link", "--life", "31d"), "between one minute and 30 days"),
        (("link", "--life", "forever"), "--life must be a number"),
        (("session", "--life", "0m"), "between one minute and 30 days"),
        (("end",), "give either the id of a session or --all"),
        (("end", "ses_1", "--all"), "give either the id of a session or --all"),
    ],
)
def test_access_that_nobody_may_have_is_refused(cli: Cli, words: tuple[str, ...], reason: str) -> None:
    assert reason in cli.refused("console", *words)
    assert cli.rows("SELECT COUNT(*) FROM web_links UNION ALL SELECT COUNT(*) FROM web_sessions") == [(0,), (0,)]


def test_a_real_engine_shows_what_doctor_and_the_ledger_say(cli: Cli) -> None:
    port = free_port()
    settings = {"http_port": str(port), "fastagi_port": str(free_port()), "ami_port": str(free_port())}
    url = f"http://127.0.0.1:{port}"
    with ended(
        subprocess.Popen(
            cli.command("serve"), cwd=cli.directory, env=cli.settings(**settings), stderr=subprocess.DEVNULL
        )
    ) as engine:
        try:
            wait_until_it_answers(f"{url}/health", engine)
            code = cli.json("console", "link", **settings)["link"].partition("#")[2]
            status, _, headers = ask(f"{url}/console/sign-in", {"code": code}, Origin=url)
            assert (status, headers["Location"]) == (303, "/console")
            cookie = headers["Set-Cookie"].partition(";")[0]
            _, page, _ = ask(f"{url}/console/ledger", Cookie=cookie)
            assert "rented-numbers ledger verify" in page
            [line] = re.findall(r"curl [^<]*/console/ledger<", page)
            secret = cli("console", "session").stdout.strip()
            shown = {path: until_done(f"{url}/console/{path}", secret) for path in ("ledger", "system")}
            # The line that the page shows gets the same as the command.
            assert f"{url}/console/ledger" in line
            assert shown["ledger"]["summary"] == "0 bookings verified, 0 discrepancies"
            parts = [each for place in shown["system"]["places"] for each in place["parts"]]
            findings = json.loads(cli("doctor", "--json", **settings).stdout)
            red = {each["part"] for each in findings if each["verdict"] == "failed"}
            assert red == {each["part"] for each in parts if each["verdict"] == "failed"}
            assert {each["part"] for each in parts} == {each["part"] for each in findings}
            assert red  # there is no Asterisk
        finally:
            engine.send_signal(signal.SIGTERM)
    assert engine.returncode == 0


def until_done(url: str, secret: str) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        status, text, _ = ask(url, Authorization=f"Bearer {secret}", Accept="application/json")
        assert status == 200, text
        data = json.loads(text)
        assert not data.get("failure")
        if data["at"] is not None:
            return data
        time.sleep(0.2)
    raise AssertionError(f"{url} has no result after {PATIENCE_SECONDS:.0f} s")
