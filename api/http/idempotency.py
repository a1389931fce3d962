"""`Idempotency-Key`: a request that is sent again gets the first answer and is not carried out again."""

import hashlib
import json
import re
from collections.abc import Callable

from aiohttp import web

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES, machine_timestamp
from api.http.problems import ProblemError
from api.http.responses import text_answer
from api.schemas.common import Incoming, Outgoing
from engine.accounts.idempotency import KeyedRequest, once
from engine.storage.kept_answers import KeptAnswer
from engine.storage.transaction import Transaction

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
KEY = re.compile(r"[!-~]{1,255}")

# Account and key of the requests that are running now.
UNDER_WAY = web.AppKey("UNDER_WAY", set[tuple[str, str]])


async def answer_once(
    request: web.Request, body: Incoming, carry_out: Callable[[Transaction], KeptAnswer]
) -> web.Response:
    """Runs a command in a transaction, unless the request's key already has an answer.

    Args:
        request: The request, with or without an `Idempotency-Key`.
        body: The request's body, part of what the key stands for.
        carry_out: The command; returns the answer to keep.

    Raises:
        ProblemError: The key is invalid, in use, or was used for another request.
        Exception: What the command raises.
    """
    deps = request.app[DEPENDENCIES]
    key = _key_of(request)
    if key is None:
        return text_answer(await deps.run(carry_out), headers={})
    account_id, under_way = request[ACCOUNT_ID], request.app[UNDER_WAY]
    if (account_id, key) in under_way:
        raise ProblemError("idempotency_key_in_use", "A request with this key is still running.")
    under_way.add((account_id, key))
    try:
        # By the machine's clock: moving a sandbox's clock must not make a repeated request a new one.
        keyed = KeyedRequest(account_id, key, _fingerprint(request, body))
        answer, replayed = await deps.run(
            once, keyed, machine_timestamp(request).wall_ms, carry_out, deps.policy.account_limits
        )
    finally:
        under_way.discard((account_id, key))
    return text_answer(answer, headers={REPLAYED: "true"} if replayed else {})


def kept(body: Outgoing, *, status: int, location: str | None = None) -> KeptAnswer:
    """Returns the answer in the form in which it is kept for repeated requests."""
    return KeptAnswer(status, location, body.model_dump_json())


def _key_of(request: web.Request) -> str | None:
    """Returns the request's key; None if it has none. Raises ProblemError if it is invalid."""
    keys = request.headers.getall(HEADER, [])
    if not keys:
        return None
    if len(keys) > 1 or not KEY.fullmatch(keys[0]):
        raise ProblemError("invalid_idempotency_key", "Send one key of 1 to 255 visible ASCII characters.")
    return keys[0]


def _fingerprint(request: web.Request, body: Incoming) -> str:
    """Returns a digest of the request's meaning: white space and the order of fields make no difference."""
    sent = json.dumps(body.model_dump(mode="json", exclude_unset=True), sort_keys=True)
    meaning = f"{request.method} {request.path} {sent}"
    return hashlib.sha256(meaning.encode()).hexdigest()
