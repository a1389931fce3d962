"""The security log: refused peers, and what people did on these pages."""

import asyncio
from collections.abc import Mapping
from typing import Any

from api.web.frame.site import Page, Visit
from engine.domain.web_access import Role

NEWEST = 200


def security_log_page() -> Page:
    """Returns the page."""
    return Page("/security-log", "Security log", Role.OPERATOR, "console/security_log.html", load)


async def load(visit: Visit) -> Mapping[str, Any]:
    """Returns the newest events, newest first. Raises OSError."""
    lines = await asyncio.to_thread(visit.services.security_log.newest, NEWEST)
    return {"events": [event_of(line) for line in lines]}


def event_of(fields: Mapping[str, str]) -> dict[str, str | bool]:
    """Returns an event from the fields of a line."""
    stamp = fields["EventTV"]
    return {
        "at": stamp[:23] + "Z" if stamp else "",
        "event": fields["SecurityEvent"],
        "isRefusal": fields["Severity"] == "Error",
        "service": fields["Service"],
        "role": fields["AccountID"],
        "session": fields["SessionID"],
        # `IPV4/TCP/192.0.2.1/0` in Asterisk's form.
        "address": fields["RemoteAddress"].split("/")[2] if fields["RemoteAddress"] else "",
        "subject": fields["Subject"],
    }
