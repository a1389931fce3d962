"""What an AGI command and an environment may contain: no value ever becomes a second command."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agi_scripts.commands import MAX_VALUE
from agi_scripts.errors import BadPeer, UnsafeValue
from agi_scripts.protocol import AgiProtocol
from agi_scripts.session import Environment, Session, parse_environment
from tests.unit.asterisk_text import lines_of, substituted, words_of

ENVIRONMENT = Environment(script="route", channel="PJSIP/carrier-1", unique_id="rn0-1.1", arguments=("a", "", "c"))
# Everything but surrogates, which no decoded value can contain, with extra weight on special characters.
TEXT = st.text(st.one_of(st.sampled_from('"\\\r\n\0`${}&,; aA0+/\x85\u2028'), st.characters(exclude_categories=["Cs"])))


class Listening:
    """Admits every connection."""

    def __init__(self) -> None:
        self.heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def on_connect(self, connection: AgiProtocol) -> bool:
        return True

    def on_environment(self, connection: AgiProtocol, environment: bytes) -> None:
        self.heard.set_result(environment)

    def on_error(self, connection: AgiProtocol, error: Exception) -> None:
        self.heard.set_exception(error)


@asynccontextmanager
async def a_session() -> AsyncIterator[tuple[Session, socket.socket]]:
    """Yields a session, and the other end of its connection with all answers waiting in it."""
    ours, theirs = socket.socketpair()
    host = Listening()
    _, wire = await asyncio.get_running_loop().create_connection(lambda: AgiProtocol(host, 5.0), sock=ours)
    theirs.sendall(b"agi_network: yes\n\n" + b"200 result=1\n" * 4)
    await asyncio.wait_for(host.heard, 5.0)
    try:
        yield Session(wire, ENVIRONMENT), theirs
    finally:
        wire.close()
        theirs.close()


async def sent_for(*variables: tuple[str, str]) -> tuple[bytes, bool]:
    """Returns the bytes that were sent, and whether the value was refused."""
    refused = False
    async with a_session() as (session, theirs):
        try:
            await session.set_variables(variables)
        except UnsafeValue:
            refused = True
        theirs.setblocking(False)
        try:
            return theirs.recv(65_536), refused
        except BlockingIOError:
            return b"", refused


@given(name=st.one_of(st.sampled_from(["RN_CAUSE", "TIMEOUT(absolute)"]), TEXT), value=TEXT)
@example(name="RN_CAUSE", value='1"\nEXEC Dial PJSIP/+881@trunk\n')
@example(name='RN_CAUSE "1"\nHANGUP', value="1")
@example(name="RN_CAUSE RN_VERDICT", value="BRIDGE")
@example(name="RN_CAUSE", value="${SHELL(id)}")
@example(name="RN_CAUSE", value="é")
@example(name="RN_CAUSE", value="a,b&c;d=e")
@settings(max_examples=500, deadline=None)
async def test_any_text_is_refused_or_becomes_one_command_that_asterisk_reads_back_unchanged(
    name: str, value: str
) -> None:
    wire, refused = await sent_for((name, value))
    if refused:
        assert wire == b""
        return
    [line] = lines_of(wire)
    assert words_of(line) == [b"SET", b"VARIABLE", name.encode(), value.encode()]
    # The dialplan expands nothing in it either, even if it evaluates it twice (EVAL, a function, an application).
    once = substituted("${X}", {"X": value})
    assert substituted(once, {}) == once == value


@given(TEXT, TEXT, TEXT)
@settings(max_examples=300)
def test_the_asterisk_model_reads_back_escaped_text(first: str, second: str, third: str) -> None:
    """Otherwise the test above would pass with a model that detects nothing."""
    words = [re.sub("[\0\n]", "", each).encode() for each in (first, second, third)]
    escaped = [b'"' + re.sub(rb'([\\"])', rb"\\\1", each) + b'"' for each in words]
    assert words_of(b" ".join(escaped)) == words


def test_the_asterisk_model_detects_text_that_breaks_out() -> None:
    assert [words_of(line)[0] for line in lines_of(b'SET VARIABLE A "1"\nEXEC Dial x\n"\n')] == [b"SET", b"EXEC", b""]
    assert words_of(b'SET VARIABLE A "1" B "2"') == [b"SET", b"VARIABLE", b"A", b"1", b"B", b"2"]
    assert len(lines_of(b"A" * 9000 + b"\n")) == 2
    assert substituted(substituted("${X}", {"X": "${Y}"}), {"Y": "ran"}) == "ran"


@pytest.mark.parametrize("value", [chr(code) for code in [*range(32), 127, *b'"\\$`']])
async def test_each_character_that_could_break_out_is_refused_before_it_is_sent(value: str) -> None:
    assert await sent_for(("RN_CAUSE", f"1{value}")) == (b"", True)
    assert await sent_for((f"RN{value}", "1")) == (b"", True)


async def test_values_that_the_scripts_send_pass_unchanged() -> None:
    wire, refused = await sent_for(("RN_DESTINATION", "+32470123456"), ("RN_ANNOUNCEMENT", "custom/gone-now"))
    assert not refused
    assert wire == b'SET VARIABLE ARRAY(RN_DESTINATION,RN_ANNOUNCEMENT) "+32470123456,custom/gone-now"\n'


@pytest.mark.parametrize("value", ["\n", "1,2", "(1", "1)", "[1", "1]"])
async def test_no_value_is_sent_if_one_of_them_is_refused(value: str) -> None:
    """For example, a comma ends a value, and a bracket hides the commas behind it."""
    assert await sent_for(("A", "1"), ("B", value), ("C", "3")) == (b"", True)


@pytest.mark.parametrize(("length", "refused"), [(MAX_VALUE, False), (MAX_VALUE + 1, True)])
async def test_a_value_so_long_that_asterisk_would_split_it_is_refused(length: int, refused: bool) -> None:
    assert (await sent_for(("A", "1" * length)))[1] is refused


@given(st.binary(max_size=400))
@example(b"agi_network_script: route\nagi_channel: a\nagi_uniqueid: 1\n\n")
@settings(max_examples=500)
def test_any_environment_is_parsed_or_refused_with_a_named_error(raw: bytes) -> None:
    try:
        environment = parse_environment(raw + b"\n\n")
    except BadPeer:
        return
    assert all("\n" not in text for text in (environment.script, environment.channel, environment.unique_id))


def test_an_environment_keeps_each_value_and_the_order_of_arguments() -> None:
    raw = b"agi_network_script: route\nagi_channel: PJSIP/a:b\nagi_uniqueid: 1.1\nagi_arg_1:  x: y\nagi_arg_2: \n"
    assert parse_environment(raw + b"agi_arg_3: p\n\n") == Environment("route", "PJSIP/a:b", "1.1", (" x: y", ""), "p")
    assert parse_environment(raw + b"\n").mac == ""


def test_a_missing_argument_is_empty() -> None:
    assert [ENVIRONMENT.argument(index) for index in range(4)] == ["a", "", "c", ""]
