"""The supervisor of `make run`: it starts the whole system, restarts processes that die, and ends on Ctrl-C."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
import pytest

from engine.asterisk.config_files import ROOT
from engine.asterisk.softphones import SOFTPHONES
from phones.ports import free_port, free_port_range, is_bound
from tests.programs import ended

pytestmark = pytest.mark.runs_once

START_SECONDS = 60.0
PORTS = ("HTTP", "FASTAGI", "AMI", "SIP", "BROWSER_PHONE")


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    rtp = free_port_range(20)
    with tempfile.TemporaryDirectory(prefix="rn-") as directory:
        yield {
            **os.environ,
            "RENTED_NUMBERS_PROFILE": "demo",
            "RENTED_NUMBERS_DATA_DIR": directory,
            "RENTED_NUMBERS_RTP_START": str(rtp),
            "RENTED_NUMBERS_RTP_END": str(rtp + 19),
            **{f"RENTED_NUMBERS_{name}_PORT": str(free_port()) for name in PORTS},
            "RENTED_NUMBERS_METRICS_ADDRESS": f"127.0.0.1:{free_port()}",
        }


class Running:
    """A running `python -m engine run`, with its output in a file."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.output = Path(environment["RENTED_NUMBERS_DATA_DIR"]) / "output"
        self._url = f"http://127.0.0.1:{environment['RENTED_NUMBERS_HTTP_PORT']}/ready"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "engine", "run"], env=environment, stdout=output, stderr=output
            )

    def ready(self) -> tuple[int, dict[str, object]]:
        try:
            with urllib.request.urlopen(self._url, timeout=2) as answer:  # noqa: S310  the scheme is ours
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())
        except OSError:
            return 0, {}

    def wait_ready(self) -> float:
        """Waits until the system is ready. Returns the seconds that it took."""
        began = time.monotonic()
        while self.ready()[0] != 200 or b"is up" not in self.output.read_bytes():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() - began < START_SECONDS, self.output.read_text()
            time.sleep(0.05)
        return time.monotonic() - began

    def child(self, word: str) -> psutil.Process:
        children = psutil.Process(self.process.pid).children(recursive=True)
        return next(child for child in children if word in " ".join(child.cmdline()))

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


@pytest.fixture
def running(environment: dict[str, str]) -> Iterator[Running]:
    run = Running(environment)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.end(signal.SIGTERM)


def test_it_starts_from_an_empty_directory_and_shows_what_to_try(running: Running, environment: dict[str, str]) -> None:
    running.wait_ready()
    key = (Path(environment["RENTED_NUMBERS_DATA_DIR"]) / "demo" / "api-key").read_text().strip()
    shown = running.output.read_text()
    assert key in shown
    assert "make call" in shown
    [telephone] = re.findall(r"http://\S+/phone", shown)
    [console] = re.findall(r"http://\S+/console/sign-in", shown)
    assert telephone.removesuffix("/phone") == console.removesuffix("/console/sign-in"), "the session is for one host"
    with urllib.request.urlopen(telephone, timeout=5) as page:  # noqa: S310  ours
        assert b"<title>Telephone in the browser" in page.read()
    status, body = running.ready()
    assert (status, body["status"]) == (200, "up")
    assert body["parts"] == {"engine": "up", "database": "up", "ami": "up", "asterisk": "up"}
    assert body["lastCommit"]
    # The engine looks at trunks a moment later.
    assert body["trunks"] in ({"main": "up"}, {"main": "unknown"})
    for process in (running.process.pid, running.child("engine").pid, running.child("asterisk").pid):
        assert core_limit(process) == ("1", "1"), "its memory holds hidden numbers"
    [link] = re.findall(r"http://\S+/console/sign-in#\S+", shown)
    with followed_calls(link) as stream:
        assert b"No live calls." in stream.readline()
        assert running.end() == 0  # an open console holds nothing up
    output = running.output.read_text()
    assert output.rstrip().endswith("stopped")
    assert "ami_down" not in output
    for name in PORTS:
        assert not is_bound(int(environment[f"RENTED_NUMBERS_{name}_PORT"]), "tcp"), name


def followed_calls(link: str) -> Any:
    """Signs in to the console as a browser does, and follows the live calls."""
    url, _, code = link.partition("#")
    origin = url.removesuffix("/console/sign-in")
    headers = {"Origin": origin, "Content-Type": "application/x-www-form-urlencoded"}
    with closing(http.client.HTTPConnection(origin.removeprefix("http://"), timeout=5)) as connection:
        connection.request("POST", "/console/sign-in", urlencode({"code": code}), headers)
        answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (303, "/console")
    cookie = {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}
    request = urllib.request.Request(f"{origin}/console/live/stream", headers=cookie)  # noqa: S310  ours
    return urllib.request.urlopen(request, timeout=30)  # noqa: S310  ours


def core_limit(process: int) -> tuple[str, str]:
    """The soft and the hard limit of the size of a core dump, in bytes. At 1 the kernel neither writes nor pipes it."""
    [line] = re.findall(r"^Max core file size +(\S+) +(\S+)", Path(f"/proc/{process}/limits").read_text(), re.MULTILINE)
    return (line[0], line[1])


def test_the_panel_fits_a_terminal_and_its_commands_can_be_copied(
    running: Running, environment: dict[str, str]
) -> None:
    running.wait_ready()
    shown = running.output.read_text()
    directory = Path(environment["RENTED_NUMBERS_DATA_DIR"])
    assert max(map(len, shown.partition("╭")[2].partition("╯")[0].splitlines())) <= 76
    assert str(directory / "demo" / "webhook-secret") in shown
    for phone in SOFTPHONES:
        assert phone.number in shown
    commands = "".join(re.findall(r"^  (curl .*(?<=\\)\n.*\n|curl .*\n)", shown, re.MULTILINE))
    done = subprocess.run(["/bin/bash", "-ec", commands], capture_output=True, text=True, timeout=20, check=True)
    bookings, simulated = json.JSONDecoder().raw_decode(done.stdout), done.stdout.index('{"putThrough"')
    assert bookings[0] == {"data": [], "hasMore": False, "nextCursor": None}
    assert json.loads(done.stdout[simulated:])["putThrough"] is True


def pasted(document: str, heading: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs the shell blocks of a section as if pasted, with this system's port and key."""
    section = (ROOT / document).read_text().partition(f"\n{heading}\n")[2].partition("\n##")[0]
    assert "```sh" in section, heading
    commands = "".join(re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))
    commands = commands.replace("var/demo/", f"{environment['RENTED_NUMBERS_DATA_DIR']}/demo/")
    commands = commands.replace(":8080", f":{environment['RENTED_NUMBERS_HTTP_PORT']}")
    return subprocess.run(
        ["/bin/bash", "-e"],
        check=False,
        input=commands.replace("curl -s", "curl -sS --fail"),
        capture_output=True,
        text=True,
        timeout=20,
    )


def test_the_documented_commands_work_when_pasted(running: Running, environment: dict[str, str]) -> None:
    running.wait_ready()
    readme = pasted("README.md", "## Use", environment)
    assert (readme.returncode, readme.stderr) == (0, ""), readme
    assert f'"destination":"{SOFTPHONES[1].number}"' in readme.stdout
    assert '"hasMore":false' in readme.stdout
    done = pasted("docs/operations.md", "### Try the API", environment)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert f'"destination":"{SOFTPHONES[1].number}"' in done.stdout
    assert '"putThrough":true' in done.stdout, "the section goes on with dialling it"


def read_until(shell: "subprocess.Popen[str]", *words: str) -> str:
    """Reads lines until all words have come."""
    assert shell.stdout
    output = ""
    while not all(word in output for word in words):
        line = shell.stdout.readline()
        assert line, output
        output += line
    return output


@pytest.mark.timeout(300)  # some twenty programs, one after the other
def test_the_ten_minutes_section_leads_from_a_key_to_a_verified_callback(
    running: Running, environment: dict[str, str]
) -> None:
    """Pastes the commands of docs/api.md up to the end of the receiver, and waits for the receiver's output."""
    running.wait_ready()
    section = (ROOT / "docs" / "api.md").read_text().partition("\n## Ten minutes\n")[2].partition("\n## ")[0]
    pasted = "\n".join(re.findall(r"^```bash\n(.*?)\n```$", section, re.MULTILINE | re.DOTALL)).splitlines()
    assert (pasted.pop(0), pasted.pop()) == ("make run", "kill %1")
    port = str(free_port())
    script = (
        "\n".join(pasted).replace("callbacks listen", f"callbacks listen --port {port}").replace(":9000", f":{port}")
    )
    script = script.replace(":8080", f":{environment['RENTED_NUMBERS_HTTP_PORT']}").replace(
        "curl -s", "curl -sS --fail"
    )
    with_path = environment | {"PYTHONPATH": str(ROOT)}
    with ended(
        subprocess.Popen(
            ["/bin/bash", "-e"],
            cwd=ROOT,
            env=with_path,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    ) as shell:
        assert shell.stdin
        try:
            # "When it prints `listening`": a callback that finds nobody may come again only after minutes.
            before, listen, after = re.split(r"(^[^\n]*callbacks listen[^\n]*\n)", script, flags=re.MULTILINE)
            shell.stdin.write(before + listen)
            shell.stdin.flush()
            read_until(shell, "listening")
            shell.stdin.write(f"{after}\necho done; wait\n")
            shell.stdin.flush()
            output = read_until(shell, "done", '"duration": 12')
        finally:
            for child in psutil.Process(shell.pid).children(recursive=True):
                child.terminate()
    assert "genuine" in output
    assert '"callsRemaining":24' in output


def test_without_its_own_asterisk_it_stays_up_and_names_what_is_missing(environment: dict[str, str]) -> None:
    run = Running(environment | {"RENTED_NUMBERS_MANAGE_ASTERISK": "false"})
    try:
        deadline = time.monotonic() + START_SECONDS
        while "press Ctrl-C to stop" not in run.output.read_text() and time.monotonic() < deadline:
            assert run.process.poll() is None, run.output.read_text()
            time.sleep(0.1)
        shown = run.output.read_text()
        assert "up, without ami and asterisk" in shown
        assert f"127.0.0.1:{environment['RENTED_NUMBERS_AMI_PORT']}," in shown
        assert "user rented-numbers, does not answer" in shown
        assert run.ready()[0] == 503
    finally:
        assert run.end() == 0


def test_an_engine_that_dies_is_started_again(running: Running) -> None:
    running.wait_ready()
    engine = running.child("serve")
    engine.kill()
    engine.wait(30)
    running.wait_ready()
    assert running.child("serve").pid != engine.pid


def test_an_asterisk_that_dies_is_started_again(running: Running) -> None:
    running.wait_ready()
    asterisk = running.child("asterisk.conf")
    asterisk.kill()
    asterisk.wait(30)
    deadline = time.monotonic() + 15
    while running.ready()[0] == 200 and time.monotonic() < deadline:
        time.sleep(0.02)  # until the engine notices the loss
    running.wait_ready()
    assert running.child("asterisk.conf").pid != asterisk.pid


def test_its_children_end_even_when_it_is_killed(running: Running) -> None:
    running.wait_ready()
    children = psutil.Process(running.process.pid).children(recursive=True)
    running.process.kill()
    running.process.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def test_the_error_names_a_port_that_is_taken(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", int(environment["RENTED_NUMBERS_AMI_PORT"]))):
        run = Running(environment)
        assert run.process.wait(30) == 1
    output = run.output.read_text()
    assert f"AMI needs 127.0.0.1:{environment['RENTED_NUMBERS_AMI_PORT']}" in output
    assert "RENTED_NUMBERS_DATA_DIR as well" in output


def test_the_error_names_an_address_that_this_machine_does_not_have(environment: dict[str, str]) -> None:
    run = Running(environment | {"RENTED_NUMBERS_SIP_HOST": "192.0.2.1"})
    assert run.process.wait(30) == 1
    assert "Set RENTED_NUMBERS_SIP_HOST to an address that this machine has" in run.output.read_text()
