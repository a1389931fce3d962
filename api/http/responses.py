"""What all answers have in common, and those that are no refusals."""

from aiohttp import hdrs, web

from api.schemas.common import Outgoing
from engine.storage.kept_answers import KeptAnswer

# aiohttp would tell its version and Python's.
SERVER = "rented-numbers"
# On all that is answered to a key to a test world.
SANDBOX_HEADER = "RentedNumbers-World"


def set_headers(response: web.StreamResponse) -> None:
    """Answers hold hidden numbers: no cache may keep them."""
    response.headers[hdrs.SERVER] = SERVER
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"


def json_answer(body: Outgoing, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status,
        body=body.model_dump_json().encode(),
        headers=headers,
        content_type="application/json",
    )


def text_answer(answer: KeptAnswer, *, headers: dict[str, str]) -> web.Response:
    """An answer that is JSON already."""
    place: dict[str, str] = {} if answer.location is None else {hdrs.LOCATION: answer.location}
    return web.Response(
        status=answer.status, body=answer.body.encode(), headers=headers | place, content_type="application/json"
    )
