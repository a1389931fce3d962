"""Answers that are no refusals."""

from aiohttp import web

from api.schemas import Outgoing


def json_answer(body: Outgoing, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status,
        body=body.model_dump_json().encode(),
        headers=headers,
        content_type="application/json",
    )
