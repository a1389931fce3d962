"""What all answers have in common, and those that are no refusals."""

from aiohttp import hdrs, web

from api.schemas import Outgoing

# aiohttp would tell its version and Python's.
SERVER = "rented-numbers"


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
