"""/bookings/{id}/qr: a QR code that dials the rented number, to print."""

import io

import segno
from aiohttp import web

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES, now_of
from api.http.parsing import unacceptable
from api.http.routes import Operation, Route
from api.resources.bookings import ONE, TAG, id_of
from engine.bookings.lifecycle import owned
from engine.domain.number_plan import tel_link
from engine.domain.numbers import E164

SVG, PNG = "image/svg+xml", "image/png"
KINDS = {"svg": SVG, "png": PNG}
# Pixels of one module. A number makes a code of version 2, which is 33 modules wide with its quiet zone of 4 modules
# (ISO/IEC 18004): a PNG has 264 pixels.
SCALE = 8


async def show(request: web.Request) -> web.Response:
    """Answers with the picture."""
    deps = request.app[DEPENDENCIES]
    kind = request.query.get("format", "svg")
    if kind not in KINDS:
        raise unacceptable("format", f"must be one of {', '.join(KINDS)}")
    booking = owned(await deps.reads.booking(id_of(request)), request[ACCOUNT_ID], now_of(request), deps.policy)
    return web.Response(body=qr_code(booking.service, kind), content_type=KINDS[kind])


def qr_code(number: E164, kind: str) -> bytes:
    """Returns a picture of the link that dials the number; `kind` is a key of KINDS.

    Error correction M is what prints on paper need; H would make the modules smaller for no gain.
    """
    picture = io.BytesIO()
    code = segno.make_qr(tel_link(number), error="m", boost_error=False)
    if kind == "svg":
        code.save(picture, kind="svg", scale=SCALE, omitsize=True, xmldecl=False, svgns=True, light="white")
    else:
        code.save(picture, kind="png", scale=SCALE)
    return picture.getvalue()


ROUTES = (
    Route(
        "GET",
        "/bookings/{id}/qr",
        show,
        Operation(
            "getQrCode",
            TAG,
            "See the rented number as a QR code",
            answers={200: None},
            problems=("gone",),
            detail="A telephone that scans it dials `serviceLink`.",
            pictures=(SVG, PNG),
        ),
        parameters=frozenset({"format"}),
        placeholders=ONE,
    ),
)
