"""Twilio's official client for Python, unmodified, in the environment of the customers' programs."""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from engine.asterisk.config_files import ROOT

PYTHON = str(ROOT / ".tools" / "clients" / "bin" / "python")
# Evaluates an expression of the client for each line, and writes what it returned or raised.
PROGRAM = """
import json, sys
from datetime import datetime, timezone
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.request_validator import RequestValidator
from twilio.rest import Client

def shown(value):
    if hasattr(value, "_solution"):
        return {name: shown(each) for name, each in vars(value).items() if not name.startswith("_")}
    if isinstance(value, list):
        return [shown(each) for each in value]
    return value.isoformat() if isinstance(value, datetime) else value

clients = {}
for line in sys.stdin:
    base, user, key, expression = json.loads(line)
    client = clients.setdefault((base, user, key), Client(user, key))
    client.proxy.base_url = base
    names = {"services": client.proxy.v1.services, "datetime": datetime, "utc": timezone.utc}
    names["RequestValidator"] = RequestValidator
    try:
        answer = shown(eval(expression, names))
    except TwilioRestException as error:
        answer = {"status": error.status, "code": error.code, "msg": error.msg}
    except TwilioException as error:  # of lists
        refusal = json.loads(error.args[1].text)
        answer = {"status": error.args[1].status_code, "code": refusal["code"], "msg": refusal["message"]}
    print(json.dumps(answer), flush=True)
"""


@dataclass
class TwilioClient:
    """A running client.

    Attributes:
        base: The address of Twilio Proxy's API.
        users: User and password, by the name of an account.
    """

    process: subprocess.Popen[str]
    base: str = ""
    users: dict[str, tuple[str, str]] = field(default_factory=dict)

    async def ask(self, expression: str, user: str = "ours") -> Any:
        """Returns what an expression gives: an object's attributes, a list, or what was raised."""
        return await asyncio.wait_for(asyncio.to_thread(self.ask_now, expression, user), 30)

    def ask_now(self, expression: str, user: str = "ours") -> Any:
        """Does the same, and lets nothing else run meanwhile."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([self.base, *self.users[user], expression]) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    async def made(self, expression: str, user: str = "ours") -> Any:
        """Returns the object that an expression gives, which must not be an error."""
        answer = await self.ask(expression, user)
        assert not isinstance(answer, dict) or "msg" not in answer, (expression, answer)
        return answer


@contextmanager
def twilio_client() -> Iterator[TwilioClient]:
    """Starts the client."""
    with subprocess.Popen(
        [PYTHON, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        yield TwilioClient(process)
        process.kill()
