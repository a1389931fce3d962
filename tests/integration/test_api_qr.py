"""The rented number as people dial it: national spelling, link, and the QR code, read back from its pixels."""

import re
import struct
import zlib
from collections.abc import Callable

import pytest

from tests.integration.api_helpers import NUMBERS, TESTED, Api

pytest_plugins = ["tests.integration.api_fixtures"]

VERSION_2 = 25
QUIET, SCALE = 4, 8


def modules_of_png(png: bytes) -> list[list[int]]:
    """The dark modules of a picture with a bit for each pixel (PNG, second edition, 11.2.2)."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, at = {}, 8
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        chunks[kind] = png[at + 8 : at + 8 + length]
        at += length + 12
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (width, height, depth, colour) == ((VERSION_2 + 2 * QUIET) * SCALE,) * 2 + (1, 0)
    lines, line_bytes = zlib.decompress(chunks[b"IDAT"]), 1 + width // 8
    rows = [lines[line * line_bytes : (line + 1) * line_bytes] for line in range(0, height, SCALE)]
    assert {row[0] for row in rows} == {0}, "a filter that this reader does not know"
    # Eight pixels of a module are a byte: 0 is dark.
    return [[int(byte == 0) for byte in row[1:]][QUIET:-QUIET] for row in rows][QUIET:-QUIET]


def modules_of_svg(svg: str) -> list[list[int]]:
    """The dark modules of a picture that is one path of horizontal lines."""
    matrix = [[0] * VERSION_2 for _ in range(VERSION_2)]
    x, y = 0.0, 0.0
    for step, given in re.findall(r"([Mmh])([-0-9. ]+)", re.findall(r'stroke="#000" d="([^"]+)"', svg)[0]):
        numbers = [float(each) for each in re.findall(r"-?[0-9.]+", given)]
        if step == "h":
            for column in range(int(x), int(x + numbers[0])):
                matrix[int(y) - QUIET][column - QUIET] = 1
            x += numbers[0]
        else:
            x, y = (x + numbers[0], y + numbers[1]) if step == "m" else (numbers[0], numbers[1])
    return matrix


MASKS: list[Callable[[int, int], bool]] = [
    lambda i, j: (i + j) % 2 == 0,
    lambda i, _: i % 2 == 0,
    lambda _, j: j % 3 == 0,
    lambda i, j: (i + j) % 3 == 0,
    lambda i, j: (i // 2 + j // 3) % 2 == 0,
    lambda i, j: i * j % 2 + i * j % 3 == 0,
    lambda i, j: (i * j % 2 + i * j % 3) % 2 == 0,
    lambda i, j: ((i + j) % 2 + i * j % 3) % 2 == 0,
]


def is_data(row: int, column: int) -> bool:
    """Whether a module of version 2 holds data: no finder, format, timing or alignment pattern (ISO/IEC 18004, 6.3)."""
    in_corner = (row < 9 and column < 9) or (row < 9 and column > 16) or (row > 16 and column < 9)
    return not (in_corner or row == 6 or column == 6 or (16 <= row <= 20 and 16 <= column <= 20))


def text_of(matrix: list[list[int]]) -> str:
    """The text of a code of version 2 with one block, in byte mode, whose modules are all right."""
    format_bits = "".join(str(matrix[8][column]) for column in (0, 1, 2, 3, 4))
    level, mask = divmod(int(format_bits, 2) ^ 0b10101, 8)
    assert level == 0, "error correction M"
    bits, upwards = "", True
    for right in (24, 22, 20, 18, 16, 14, 12, 10, 8, 5, 3, 1):
        for row in range(VERSION_2 - 1, -1, -1) if upwards else range(VERSION_2):
            for column in (right, right - 1):
                if is_data(row, column):
                    bits += str(matrix[row][column] ^ MASKS[mask](row, column))
        upwards = not upwards
    assert bits[:4] == "0100", "byte mode"
    length = int(bits[4:12], 2)
    return bytes(int(bits[12 + 8 * n : 20 + 8 * n], 2) for n in range(length)).decode()


@pytest.mark.parametrize("account", ["ours", TESTED])
async def test_the_qr_code_says_what_the_booking_says(api: Api, account: str) -> None:
    booking = await api.book(account=account)
    path = f"/bookings/{booking['id']}/qr"
    assert booking["serviceLink"] == f"tel:{booking['service']}"
    svg = await api.call("GET", path, account=account)
    assert (svg.status, svg.headers["Content-Type"], svg.headers["Cache-Control"]) == (200, "image/svg+xml", "no-store")
    assert svg.text == (await api.call("GET", f"{path}?format=svg", account=account)).text
    headers = {"Authorization": f"Bearer {api.keys[account]}"}
    async with api.client.get(f"{path}?format=png", headers=headers) as answer:
        png = await answer.read()
        assert (answer.status, answer.content_type) == (200, "image/png")
    assert modules_of_svg(svg.text) == modules_of_png(png)
    assert text_of(modules_of_png(png)) == booking["serviceLink"]
    assert (await api.call("GET", f"{path}?format=gif", account=account)).code == "invalid_parameter"


async def test_a_booking_has_its_number_as_people_write_it_and_a_gone_one_has_no_picture(api: Api) -> None:
    booking = await api.book(service=NUMBERS[0])
    assert (booking["service"], booking["serviceNational"]) == ("+3225550000", "02 555 00 00")
    path = f"/bookings/{booking['id']}"
    await api.call("DELETE", path)
    assert (await api.call("GET", f"{path}/qr")).code == "gone"
