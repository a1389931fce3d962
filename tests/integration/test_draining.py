"""An engine that gets SIGTERM finishes the calls that it was asked about, and takes no others."""

import json
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agi_scripts.request_auth import request_mac
from phones.ports import free_port
from tests.integration.cli_runner import Cli, wait_until_it_answers
from tests.integration.fake_asterisk import CALL_ID, CHANNEL, OK
from tests.programs import ended


class Asked:
    """A real engine that waits for Asterisk to take its answer to a call.

    Attributes:
        engine: Its process.
        asterisk: Asterisk's side of the connection.
    """

    def __init__(self, engine: subprocess.Popen[bytes], http: int, fastagi: int, token: str) -> None:
        self.engine = engine
        self._http = http
        self._fastagi = fastagi
        self._token = token
        self.asterisk = self.ask()

    def ask(self) -> socket.socket:
        """Asks about a call, and leaves the answer unanswered."""
        question = ["+3225550999", "+14155550123", "allowed_not_screened", "", "", "", "", "carrier-main", ""]
        arguments = [*question, request_mac(self._token, CALL_ID, "route", question)]
        lines = ["agi_network_script: route", f"agi_channel: {CHANNEL}", f"agi_uniqueid: {CALL_ID}"]
        lines += [f"agi_arg_{number}: {each}" for number, each in enumerate(arguments, 1)]
        asterisk = socket.create_connection(("127.0.0.1", self._fastagi), timeout=5)
        asterisk.sendall("\n".join([*lines, "", ""]).encode())
        assert b"REJECT" in asterisk.recv(4096)
        return asterisk

    def answer(self, path: str) -> tuple[int, str]:
        """The status, and the state of the part `engine`."""
        try:
            answer = urllib.request.urlopen(f"http://127.0.0.1:{self._http}{path}", timeout=5)
        except urllib.error.HTTPError as refusal:
            answer = refusal
        with answer:
            return answer.status, json.loads(answer.read())["parts"]["engine"]

    def wait_draining(self) -> None:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._fastagi), timeout=5).close()
            except ConnectionRefusedError:
                return
            assert time.monotonic() < deadline, "it still takes calls after SIGTERM"
            time.sleep(0.01)


@contextmanager
def _asked(directory: Path) -> Iterator[Asked]:
    cli, http, fastagi = Cli(directory), free_port(), free_port()
    cli.set_up()
    settings = cli.settings(http_port=str(http), fastagi_port=str(fastagi), ami_port=str(free_port()))
    token = (cli.data / "secrets" / "agi_token").read_text().strip()
    serving = subprocess.Popen(cli.command("serve"), cwd=cli.directory, env=settings, stderr=subprocess.DEVNULL)
    with ended(serving) as engine:
        try:
            wait_until_it_answers(f"http://127.0.0.1:{http}/health", engine)
            asked = Asked(engine, http, fastagi, token)
            with asked.asterisk:
                yield asked
        finally:
            engine.kill()


def test_it_finishes_its_calls_takes_no_others_and_says_so(tmp_path: Path) -> None:
    """If Asterisk does not take an answer, the engine ends after the time that a script may take."""
    with _asked(tmp_path) as asked, asked.ask():
        asked.engine.send_signal(signal.SIGTERM)
        asked.wait_draining()
        assert asked.answer("/ready") == (503, "draining")
        assert asked.answer("/health") == (200, "draining")
        asked.asterisk.settimeout(0.1)
        with pytest.raises(TimeoutError):  # the connection of its call is still open
            asked.asterisk.recv(4096)
        asked.asterisk.settimeout(5)
        asked.asterisk.sendall(OK)
        assert asked.asterisk.recv(4096) == b""
        assert asked.engine.wait(30) == 0


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with _asked(tmp_path) as asked:
        asked.engine.send_signal(signal.SIGTERM)
        asked.wait_draining()
        asked.engine.send_signal(signal.SIGTERM)
        assert asked.engine.wait(30) == -signal.SIGTERM
