"""Web origins (RFC 6454) that may show a customer's pages in a frame."""

import re
from typing import LiteralString

MAX_ORIGIN = 255
# As browsers write them, and as a content security policy takes them: lower case, no path, no wildcard, no credentials.
ORIGIN = re.compile(
    r"https://[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+(?::[1-9][0-9]{0,4})?"
)
NO_ORIGIN: LiteralString = "must be an https origin, such as https://www.example.com, in lower case and without a path"


def is_origin(text: str) -> bool:
    """Returns whether the text is the origin of an https page, whose default port is left out."""
    match = ORIGIN.fullmatch(text)
    if match is None or len(text) > MAX_ORIGIN:
        return False
    _, _, port = text.removeprefix("https://").partition(":")
    return port != "443" and int(port or 0) <= 65535
