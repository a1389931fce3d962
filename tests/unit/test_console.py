"""Asterisk's console through its program, here a script: bounded in time and size, and every failure named."""

import asyncio
import re
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from engine.asterisk.console import CommandRefused, Console, ConsoleUnreachable, UnknownCommand


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
            UnknownCommand,
            "No such command 'x'",
        ),
        ("echo \"You don't have permissions to run 'x' command\"", CommandRefused, "permissions"),
        ("yes", CommandRefused, "longer than 4096 bytes"),
    ],
)
async def test_every_failure_has_its_error(tmp_path: Path, script: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=re.escape(said)):
        await Console([program(tmp_path, script)], max_output=4096).run("x")


async def test_a_missing_program_is_named() -> None:
    with pytest.raises(ConsoleUnreachable, match=r"/no/such/asterisk cannot be started: No such file"):
        await Console(["/no/such/asterisk"]).run("x")


async def test_a_program_that_hangs_ends_in_time_with_its_children(tmp_path: Path) -> None:
    path = tmp_path / "child"
    console = Console([program(tmp_path, f"sleep 60 & echo $! > {path}; wait")], timeout=0.3)
    began = time.monotonic()
    with pytest.raises(ConsoleUnreachable, match=r"did not answer within 0\.3 s"):
        await console.run("x")
    assert time.monotonic() - began < 5
    child = int(path.read_text())
    deadline = time.monotonic() + 20
    while is_running(child):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def is_running(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@pytest.mark.parametrize("command", ["core show\nversion", "a\0b", "a\x1bb"])
async def test_a_command_is_one_line(tmp_path: Path, command: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        await Console([program(tmp_path, "true")]).run(command)
