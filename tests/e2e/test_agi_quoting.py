"""A real Asterisk reads our encoded AGI commands as intended, and splits commands as the unit tests' model does.

A FastAGI server of the test sends the commands during a call.
"""

import random
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from agi_scripts.commands import set_variables
from agi_scripts.errors import UnsafeValue
from tests.e2e.calls import Caller
from tests.e2e.system import System
from tests.unit.asterisk_text import words_of

EXTENSION = "4477"
VARIABLE = "RN_ROUND"
ALPHABET = "aZ09+-_.:;,&|^~!?=<>()[]{}@#%*/' \t\"\\${}`é"
SEED = 4477


def texts(count: int) -> list[str]:
    chance = random.Random(SEED)
    fixed = ["", "${EXTEN}", "$[1+1]", "a,b&c;d=e", '"', "\\", '\\"', "a b", " ", "${SHELL(id)}", "x" * 256]
    return fixed + ["".join(chance.choices(ALPHABET, k=chance.randrange(1, 30))) for _ in range(count)]


@dataclass
class Interview:
    """A FastAGI server for one call. It sends each command and then reads the variable."""

    commands: list[bytes]
    answers: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)

    @contextmanager
    def listening(self) -> Iterator[int]:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(30)
            thread = threading.Thread(target=self._serve, args=(server,), daemon=True)
            thread.start()
            yield server.getsockname()[1]
            thread.join(30)

    def _serve(self, server: socket.socket) -> None:
        connection, _ = server.accept()
        connection.settimeout(10)
        with connection, connection.makefile("rwb") as file:
            while file.readline().strip():
                pass
            for command in self.commands:
                lines = (b'SET VARIABLE RN_ROUND ""', command, b"GET VARIABLE RN_ROUND")
                _, answer, value = [self._ask(file, line) for line in lines]
                self.answers.append((command, answer, value))

    @staticmethod
    def _ask(file: Any, line: bytes) -> bytes:
        file.write(line + b"\n")
        file.flush()
        answer: bytes = file.readline()
        while answer.startswith(b"520-") and not (more := file.readline()).startswith(b"520 "):
            assert more
        return answer


def interview(system: System, caller: Caller, commands: list[bytes]) -> list[tuple[bytes, bytes, bytes]]:
    asked = Interview(commands)
    with asked.listening() as port:
        system.asterisk_console(
            f"dialplan add extension {EXTENSION},1,AGI(agi://127.0.0.1:{port}/x) into rented-numbers"
        )
        try:
            caller.call(EXTENSION)
        finally:
            system.asterisk_console(f"dialplan remove extension {EXTENSION}@rented-numbers")
    assert len(asked.answers) == len(commands)
    return asked.answers


def value_in(answer: bytes) -> bytes:
    match = re.fullmatch(rb"200 result=[01](?: \((.*)\))?\n", answer)
    assert match, answer
    return match[1] or b""


def test_asterisk_sets_the_variable_to_exactly_what_our_encoder_accepts(system: System, caller: Caller) -> None:
    meant: dict[bytes, bytes] = {}
    refused = 0
    for text in texts(600):
        try:
            meant[set_variables([(VARIABLE, text)]).encode()] = text.encode()
        except UnsafeValue:
            refused += 1
    answers = interview(system, caller, list(meant))
    assert [(command, value_in(value)) for command, _, value in answers] == list(meant.items())
    print(f"F4 on Asterisk: {len(answers)} values read back as intended, {refused} refused by the encoder")  # noqa: T201
    assert len(answers) > 20 < refused


def test_one_command_for_several_variables_gives_each_its_own_value(system: System, caller: Caller) -> None:
    """The checked variable is in the middle, so that the values around it could displace it."""
    meant: dict[bytes, bytes] = {}
    chance = random.Random(SEED)
    harmless, refused = [text for text in texts(2000) if _may_stand_among_others(text)], 0
    for text in texts(2000):
        first, last = chance.choices(harmless, k=2)
        try:
            command = set_variables([("RN_FIRST", first), (VARIABLE, text), ("RN_LAST", last)])
        except UnsafeValue:
            refused += 1
        else:
            meant[command.encode()] = text.encode()
    answers = interview(system, caller, list(meant))
    assert [(command, value_in(value)) for command, _, value in answers] == list(meant.items())
    assert len(answers) > 20 < refused


def _may_stand_among_others(text: str) -> bool:
    with suppress(UnsafeValue):
        return bool(set_variables([(VARIABLE, text), (VARIABLE, "")]))
    return False


def test_the_unit_tests_model_splits_commands_as_asterisk_does(system: System, caller: Caller) -> None:
    commands = [f"SET VARIABLE RN_ROUND {text}".encode() for text in texts(600)]
    wrong = []
    for command, answer, value in interview(system, caller, commands):
        words = words_of(command)
        # Asterisk accepts exactly one value.
        expected = words[3] if len(words) == 4 else None
        got = value_in(value) if answer.startswith(b"200") else None
        if expected != got:
            wrong.append((command, words, answer, value))
    assert wrong == []
