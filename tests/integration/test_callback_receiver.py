"""`callbacks listen` accepts genuine callbacks, refuses others, and shows both safely on a terminal."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.callbacks.signing import signature_headers
from engine.domain.times import EpochMs
from tests.integration.cli_runner import Cli

BODY = json.dumps({"bookingId": "bkg_1", "source": "+33199007777"})


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    made = Cli(tmp_path)
    made.set_up("demo")
    return made


@pytest.fixture
def listening(cli: Cli) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-u", *cli.command("callbacks", "listen", "--account", "demo", "--port", "0", "--json")[1:]],
        cwd=cli.directory,
        env=cli.settings(profile="demo"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=20)


def post(url: str, body: str, headers: dict[str, str]) -> int:
    request = urllib.request.Request(url, data=body.encode(), headers=headers, method="POST")  # noqa: S310  as below
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  ours, on loopback
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def shown(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line: dict[str, Any] = json.loads(process.stdout.readline())
    return line


def test_the_receiver_accepts_only_genuine_callbacks(cli: Cli, listening: subprocess.Popen[str]) -> None:
    assert listening.stderr is not None
    url = listening.stderr.readline().split('"')[3]
    [(secret,)] = cli.rows("SELECT webhook_secret FROM accounts WHERE name = 'demo'")
    now = round(time.time() * 1000)
    good = signature_headers("evt_1", (secret,), BODY, EpochMs(now))
    assert post(url, BODY, good) == 204
    assert shown(listening) == {
        "webhookId": "evt_1",
        "genuine": True,
        "why": None,
        "again": False,
        "body": json.loads(BODY),
    }
    assert post(url, BODY, good) == 204
    assert shown(listening)["again"] is True
    old = signature_headers("evt_2", (secret,), BODY, EpochMs(now - 3_600_000))
    for body, headers in [
        (BODY + " ", good),
        (BODY, good | {"webhook-id": "evt_9"}),
        (BODY, good | {"webhook-signature": "v1,nonsense"}),
        (BODY, {}),
        (BODY, old),
        ("\x1b[2J", signature_headers("evt_3", (secret,), "other", EpochMs(now))),
    ]:
        assert post(url, body, headers) == 400
        refused = shown(listening)
        assert (refused["genuine"], refused["body"]) == (False, None)
        assert refused["why"]


def test_the_receiver_knows_a_rotated_secret_and_the_old_one(cli: Cli, listening: subprocess.Popen[str]) -> None:
    assert listening.stderr is not None
    url = listening.stderr.readline().split('"')[3]
    [(old,)] = cli.rows("SELECT webhook_secret FROM accounts WHERE name = 'demo'")
    new = "whsec_" + "A" * 44
    now = round(time.time() * 1000)
    replaced = f"UPDATE accounts SET old_webhook_secret = '{old}', webhook_secret = '{new}', old_secret_until = "  # noqa: S608  ours
    cli.execute(replaced + str(now + 3_600_000))
    for secrets in ((new, old), (new,), (old,)):
        assert post(url, BODY, signature_headers("evt_1", secrets, BODY, EpochMs(now))) == 204
    cli.execute(replaced + str(now - 1))
    assert post(url, BODY, signature_headers("evt_1", (old,), BODY, EpochMs(now))) == 400


def test_an_unknown_account_is_named_in_the_error(cli: Cli) -> None:
    assert "nobody" in cli.refused("callbacks", "listen", "--account", "nobody", profile="demo")


def test_a_taken_port_is_named_in_the_error(cli: Cli, listening: subprocess.Popen[str]) -> None:
    assert listening.stderr is not None
    port = listening.stderr.readline().rsplit(":", 1)[1].split("/")[0]
    said = cli.refused("callbacks", "listen", "--account", "demo", "--port", port, profile="demo")
    assert f"port {port}: " in said
    assert "already in use; choose another with `--port`" in said
