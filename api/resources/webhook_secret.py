"""/webhook-secret: the secret that signs the account's callbacks.

Anybody with an API key can read it at any time, not only when it is made. A key allows to replace it anyway, and a
receiver that is set up by a program, or set up again, needs it. The secret protects the receiver from forged callbacks.
"""

from aiohttp import web

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES, machine_timestamp
from api.http.idempotency import answer_once, kept
from api.http.parsing import read_body
from api.http.responses import json_answer
from api.http.routes import Operation, Route
from api.resources.callbacks import TAG
from api.schemas.callbacks import NewWebhookSecret, WebhookSecretBody
from engine.callbacks import secrets as callback_secrets
from engine.storage.kept_answers import KeptAnswer
from engine.storage.transaction import Transaction


async def show(request: web.Request) -> web.Response:
    """Answers with the secret."""
    secrets = await request.app[DEPENDENCIES].reads.webhook_secrets(request[ACCOUNT_ID])
    return json_answer(WebhookSecretBody.of(secrets, machine_timestamp(request).wall_ms))


async def rotate(request: web.Request) -> web.Response:
    """Replaces the secret."""
    body = await read_body(request, NewWebhookSecret)
    account_id, now = request[ACCOUNT_ID], machine_timestamp(request).wall_ms

    def carry_out(tx: Transaction) -> KeptAnswer:
        secrets = callback_secrets.rotate(tx, account_id, body.overlap_seconds, now)
        return kept(WebhookSecretBody.of(secrets, now), status=200)

    return await answer_once(request, body, carry_out)


ROUTES = (
    Route(
        "GET",
        "/webhook-secret",
        show,
        Operation("getWebhookSecret", TAG, "See the secret that signs callbacks", answers={200: WebhookSecretBody}),
    ),
    Route(
        "POST",
        "/webhook-secret/rotate",
        rotate,
        Operation(
            "rotateWebhookSecret",
            TAG,
            "Replace the secret that signs callbacks",
            answers={200: WebhookSecretBody},
            detail="Until `oldSecretUntil` callbacks have two signatures. A second rotation within that time ends the "
            "oldest secret at once.",
        ),
        body=NewWebhookSecret,
        keyed=True,
    ),
)
