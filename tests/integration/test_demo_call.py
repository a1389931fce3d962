"""`make call` when another program uses the port of the API."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.cli_runner import Cli

ANSWERS = {
    "a page that is not there": b"HTTP/1.0 404 Not Found\r\nContent-Type: text/html\r\n\r\n<h1>404</h1>",
    "a page": b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<h1>Welcome</h1>",
    "no HTTP at all": b"SSH-2.0-OpenSSH_9.2\r\n",
}


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """Answer one request, and return the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_one() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        one = threading.Thread(target=answer_one, daemon=True)
        one.start()
        yield listener.getsockname()[1]
        one.join(10)


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_the_demo_call_recognises_a_foreign_or_missing_system(tmp_path: Path, answer: bytes) -> None:
    cli = Cli(tmp_path)
    cli.set_up("demo")
    with answering(answer) as port:
        done = subprocess.run(
            [sys.executable, "-m", "phones.demo_call"],
            cwd=tmp_path,
            env=cli.settings(profile="demo", http_port=str(port)),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "")
    assert f"✗ Another program answers on http://127.0.0.1:{port}." in done.stdout
    assert "RENTED_NUMBERS_HTTP_PORT" in done.stdout
