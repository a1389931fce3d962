"""Asterisk's console through its program: bounded in time and size, and every failure named. The program is a script."""

import asyncio
import time
from pathlib import Path

import pytest

from engine.asterisk.console import CommandRefused, Console, ConsoleUnreachable


def program(tmp_path: Path, script: str) -> str:
    path = tmp_path / "asterisk"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return str(path)


async def test_a_command_is_one_argument_and_its_output_comes_without_colours(tmp_path: Path) -> None:
    console = Console([program(tmp_path, "printf '\\033[1;32m%s|\\033[0m' \"$@\""), "-C", "a b.conf"])
    assert await console.run("module show like $(id)") == "-C|a b.conf|-rx|module show like $(id)|"


async def test_the_program_gets_none_of_our_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RENTED_NUMBERS_DATA_DIR", "/secret")
    assert "RENTED_NUMBERS" not in await Console([program(tmp_path, "env")]).run("core show version")


async def test_output_that_is_not_utf8_is_read(tmp_path: Path) -> None:
    assert await Console([program(tmp_path, "printf 'a\\377b'")]).run("x") == "a\N{REPLACEMENT CHARACTER}b"


UNABLE = "Unable to connect to remote asterisk (does /run/asterisk/asterisk.ctl exist?)"


@pytest.mark.parametrize(
    ("script", "error", "said"),
    [
        (f"echo '{UNABLE}' >&2; exit 1", ConsoleUnreachable, UNABLE),
        ("exit 3", ConsoleUnreachable, "ended with status 3"),
        (
            "echo \"No such command 'x' (type 'core show help x' for other possible commands)\"",
            CommandRefused,
            "No such command 'x'",
        ),
        ("echo \"You don't have permissions to run 'x' command\"", CommandRefused, "permissions"),
        ("yes", CommandRefused, "longer than 4096 bytes"),
    ],
)
async def test_every_failure_has_its_error(tmp_path: Path, script: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=".*") as raised:
        await Console([program(tmp_path, script)], max_output=4096).run("x")
    assert said in str(raised.value)


async def test_a_missing_program_is_named() -> None:
    with pytest.raises(ConsoleUnreachable, match=r"/no/such/asterisk cannot be started: No such file"):
        await Console(["/no/such/asterisk"]).run("x")


async def test_a_program_that_hangs_ends_in_time_with_its_children(tmp_path: Path) -> None:
    console = Console([program(tmp_path, f"sleep 60 & echo $! > {tmp_path}/child; wait")], timeout=0.3)
    began = time.monotonic()
    with pytest.raises(ConsoleUnreachable, match=r"did not answer within 0\.3 s"):
        await console.run("x")
    assert time.monotonic() - began < 5
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        state = Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the child of the program is still running")


@pytest.mark.parametrize("command", ["core show\nversion", "a\0b", "a\x1bb"])
async def test_a_command_is_one_line(tmp_path: Path, command: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        await Console([program(tmp_path, "true")]).run(command)
