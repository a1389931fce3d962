"""Standard error of a process with our logs is masked, at every level and from every library."""

import io
import json
import logging
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.runtime.logs import PROCESSORS, _Lines

ROOT = Path(__file__).resolve().parents[2]
NUMBER = "+32470123456"

BEGIN = f"""
import asyncio, logging, sys, threading, warnings
import structlog
from dataclasses import dataclass
from engine.runtime import logs as log
log.configure(sys.argv[1])
number = {NUMBER!r}
ours = structlog.get_logger("ours")

@dataclass
class Thing:
    destination: str
"""

WAYS = {
    "a value": "ours.error('e', value=number)",
    "the event": "ours.error(f'calling {number}')",
    "a name": "ours.error('e', **{number: 1})",
    "nested": "ours.error('e', value={'a': [(number,), {number: {number}}]})",
    "deeply nested": "value = number\nfor _ in range(40): value = [value]\nours.error('e', value=value)",
    "bytes": "ours.error('e', value=number.encode())",
    "an object": "ours.error('e', value=Thing(number), error=ValueError(number))",
    "bound": "ours.bind(who=number).error('e')",
    "a traceback": "try:\n    raise ValueError(number)\nexcept ValueError:\n    ours.exception('crashed')",
    "a chained traceback": (
        "try:\n    try:\n        int(number + 'x')\n    except ValueError as error:\n"
        "        raise LookupError('no') from error\nexcept LookupError:\n    ours.exception('crashed')"
    ),
    "the standard library": "logging.getLogger('aiohttp.server').error('for %s', number)",
    "its tracebacks": (
        "try:\n    raise OSError(number)\nexcept OSError:\n    logging.getLogger('panoramisk').exception('x')"
    ),
    "asyncio's handler": (
        "async def main():\n"
        "    asyncio.get_running_loop().call_soon(lambda: int(number + 'x'))\n    await asyncio.sleep(0.01)\n"
        "asyncio.run(main())"
    ),
    "a task without a waiter": (
        "async def fail():\n    raise ValueError(number)\n"
        "async def main():\n    task = asyncio.create_task(fail())\n    await asyncio.sleep(0.01)\n"
        "asyncio.run(main())"
    ),
    "a warning": "warnings.warn(f'deprecated {number}')",
    "the end of a thread": (
        "thread = threading.Thread(target=lambda: int(number + 'x'))\nthread.start()\nthread.join()"
    ),
    "a destructor": "class Bad:\n    def __del__(self): raise ValueError(number)\nbad = Bad()\ndel bad",
}
CRASHES = {
    "the end of the process": "raise ValueError(f'no {number}')",
    "an end with many causes": "raise ExceptionGroup('g', [ValueError(number), KeyError(number)])",
}


MARK = "\n--- next\n"


def stderr_of(level: str, code: str) -> str:
    """Runs the code in a process and returns its standard error."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + code, level], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == ""
    return done.stderr.replace("\\u2022", "•")


@pytest.fixture(scope="module")
def logs() -> dict[str, str]:
    """The output of each way, all in one process."""
    each = f"for code in {list(WAYS.values())!r}:\n    exec(code)\n    sys.stderr.write({MARK!r})"
    return dict(zip(WAYS, stderr_of("debug", each).split(MARK), strict=False))


@pytest.mark.parametrize("way", WAYS)
def test_no_way_into_the_log_shows_a_number(logs: dict[str, str], way: str) -> None:
    assert "324•••••56" in logs[way]
    assert NUMBER[4:-2] not in logs[way]


@pytest.mark.parametrize("way", CRASHES)
def test_no_crash_of_a_process_shows_a_number(way: str) -> None:
    log = stderr_of("error", CRASHES[way])
    assert "Traceback" in log
    assert "324•••••56" in log
    assert NUMBER[4:-2] not in log


TEXTS = st.text(st.characters(exclude_categories=("Cs", "Nd")), max_size=5)
# Around a number: what JSON writes with an escape, whose digits must neither hide the number nor join it.
AROUND = st.one_of(
    TEXTS, st.sampled_from(["\\u0031", "\\", '"', "\x00", "\x1f", "\x7f", "é", "\u0663", "\u2028", "\n", "+"])
)
VALUES = st.recursive(
    st.tuples(AROUND, st.sampled_from([NUMBER, NUMBER[1:]]), AROUND).map("".join),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(AROUND.map(lambda text: text + NUMBER), inner, max_size=2),
        inner.map(lambda value: (value,)),
        inner.map(ValueError),
    ),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.dictionaries(st.one_of(AROUND, AROUND.map(lambda text: NUMBER + text)), VALUES, max_size=3), VALUES)
def test_no_line_shows_a_number_whatever_surrounds_it(values: dict[str, object], event: object) -> None:
    stream = io.StringIO()
    lines = structlog.wrap_logger(
        _Lines(stream), processors=PROCESSORS, wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG)
    )
    lines.info(event, **{f"{name}_": value for name, value in values.items()})
    [line] = stream.getvalue().splitlines()
    assert json.loads(line)["level"] == "info"
    assert NUMBER[4:-2] not in line
    assert NUMBER[4:-2] not in json.dumps(json.loads(line), ensure_ascii=False)


def test_a_full_disk_drops_lines_and_fails_nothing() -> None:
    with open("/dev/full", "w", buffering=1) as full:  # noqa: PTH123
        _Lines(full).msg("a line")
        with suppress(OSError):
            full.close()


def test_every_level_is_masked_and_keeps_its_other_values() -> None:
    log = stderr_of(
        "debug", "for say in (ours.debug, ours.info, ours.warning, ours.error): say('e', number=number, ms=18000000)"
    )
    lines = [json.loads(line) for line in log.splitlines()]
    assert [line["level"] for line in lines] == ["debug", "info", "warning", "error"]
    for line in lines:
        assert line["number"] == "+324•••••56"
        assert line["ms"] == 18_000_000
