"""Runs the programs of docs/api.md: the clients against the API, the receivers with genuinely signed callbacks."""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from standardwebhooks import Webhook

from engine.asterisk.config_files import ROOT
from engine.domain.retry import HttpAnswer
from phones.ports import free_port, is_bound
from tests.integration.api_helpers import Api
from tests.integration.callback_sending import BODY, SECRET, send
from tests.integration.test_callback_docs import PAGE, code_blocks

pytest_plugins = ["tests.integration.api_fixtures"]

NODE = [str(ROOT / ".tools" / "bin" / "node"), "--input-type=module", "--eval"]
PYTHON = [sys.executable, "-c"]
CUSTOMERS_PYTHON = str(ROOT / ".tools" / "clients" / "bin" / "python")
OTHER_SECRET = "whsec_" + "A" * 32
SECONDS = 60


def block_with(text: str) -> str:
    [block] = [block for block in code_blocks(PAGE) if text in block]
    return block


async def ran(api: Api, command: list[str], cwd: Path | None = None) -> str:
    """Run a program that must succeed, with the address of the API and a key, and return its output."""
    environment = os.environ | {"BASE": str(api.client.make_url("")).rstrip("/"), "KEY": api.keys["ours"]}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False
        )

    done = await asyncio.to_thread(run)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("program", "block"), [(PYTHON, "def ask("), (NODE, "async function ask(")], ids=["python", "javascript"]
)
async def test_the_clients_book_list_renew_cancel_and_read_a_refusal(api: Api, program: list[str], block: str) -> None:
    kept = await api.book()
    dialled, listed, refused = (await ran(api, [*program, block_with(block)])).splitlines()
    assert dialled.startswith("callers dial +32")
    assert len(re.findall("bkg_[0-9a-f]{32}", listed)) == 2
    assert kept["id"] in listed
    assert refused == "404 gone"


async def test_a_generated_client_is_complete_and_types_every_answer(api: Api, tmp_path: Path) -> None:
    """Generate a client from the served document without a warning, then run the example with it."""
    answer = await api.client.get("/openapi.json")
    (tmp_path / "openapi.json").write_bytes(await answer.read())
    shown = block_with("openapi-python-client generate")
    shown = re.sub("--url \\S+/openapi.json", "--path openapi.json", shown)
    shown = shown.replace("openapi-python-client", f"{CUSTOMERS_PYTHON} -m openapi_python_client")
    path = f"{Path(CUSTOMERS_PYTHON).parent}:{os.environ['PATH']}"  # the generator formats its code with ruff
    await asyncio.to_thread(
        subprocess.run, ["/bin/bash", "-ec", shown], cwd=tmp_path, env=os.environ | {"PATH": path}, check=True
    )
    example = block_with("from rented_numbers_client import")
    await ran(api, [CUSTOMERS_PYTHON, "-c", example], cwd=tmp_path / "rented-numbers-client")
    operations = {path.stem for path in (tmp_path / "rented-numbers-client/rented_numbers_client/api").rglob("*.py")}
    assert {"create_booking", "get_call_record", "explain_call", "block_caller"} <= operations


@pytest.fixture(params=["python", "javascript"])
async def running(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """Start a receiver of the page. Yields its URL and the file with its output."""
    blocks = {"python": (PYTHON, "class Receiver("), "javascript": (NODE, "createServer(async")}
    program, text = blocks[request.param]
    port, printed = free_port(), tmp_path / "printed"
    environment = os.environ | {"WEBHOOK_SECRET": SECRET, "PORT": str(port)}
    with printed.open("wb") as output:
        process = subprocess.Popen(  # noqa: ASYNC220  starting it takes no time that matters to a test
            [*program, block_with(text)], env=environment, stdout=output, stderr=output
        )
    try:
        async with asyncio.timeout(SECONDS):
            while not is_bound(port, "tcp"):
                assert process.poll() is None, printed.read_text()
                await asyncio.sleep(0.02)
        yield f"http://127.0.0.1:{port}/calls", printed
    finally:
        process.kill()
        process.wait()


def signed(event_id: str, secret: str = SECRET, age: int = 0) -> dict[str, str]:
    """Return the headers of a genuine BODY that was sent `age` seconds ago."""
    sent = int(time.time()) - age
    signature = Webhook(secret).sign(event_id, datetime.fromtimestamp(sent, tz=UTC), BODY)
    return {"webhook-id": event_id, "webhook-timestamp": str(sent), "webhook-signature": signature}


async def posted(url: str, body: bytes, headers: dict[str, str]) -> int:
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        return answer.status


async def test_a_receiver_accepts_a_callback_and_handles_its_repetition_once(running: tuple[str, Path]) -> None:
    url, printed = running
    assert [await send(url), await send(url)] == [HttpAnswer(204), HttpAnswer(204)]
    assert printed.read_text().count("cdr_1") == 1


async def test_a_receiver_accepts_one_right_signature_of_two(running: tuple[str, Path]) -> None:
    url, _ = running
    headers, other = signed("evt_2"), signed("evt_2", OTHER_SECRET)
    headers["webhook-signature"] = f"{other['webhook-signature']} {headers['webhook-signature']}"
    Webhook(SECRET).verify(BODY, headers)
    assert await posted(url, BODY.encode(), headers) == 204


async def test_a_receiver_refuses_forged_changed_and_old_callbacks(running: tuple[str, Path]) -> None:
    url, printed = running
    right, forged = signed("evt_3"), signed("evt_3", OTHER_SECRET)
    later = str(int(right["webhook-timestamp"]) + 1)
    bad: list[tuple[bytes, dict[str, str]]] = [
        (BODY.encode() + b" ", right),
        (BODY.encode(), forged),
        (BODY.encode(), right | {"webhook-id": "evt_4"}),
        (BODY.encode(), right | {"webhook-timestamp": later}),
        (BODY.encode(), right | {"webhook-timestamp": "soon"}),
        (BODY.encode(), right | {"webhook-signature": right["webhook-signature"].replace("v1,", "v2,")}),
        (BODY.encode(), right | {"webhook-signature": "v1"}),
        (BODY.encode(), signed("evt_3", age=301)),
        (BODY.encode(), signed("evt_3", age=-330)),
        (BODY.encode(), {}),
    ]
    assert [await posted(url, body, headers) for body, headers in bad] == [400] * len(bad)
    assert printed.read_text().count("cdr_1") == 0
    assert await posted(url, BODY.encode(), right) == 204
