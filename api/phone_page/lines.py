"""The two lines that the page can take, each with what it needs and nothing of the other.

So the caller's page never receives the hidden number.
"""

from enum import StrEnum

from aiohttp import web
from pydantic import Field

from api.http.responses import json_answer
from api.phone_page.guard import PHONES, require_own_page
from api.schemas.common import Outgoing
from engine.asterisk.browser_phones import CALLER, CALLER_NUMBER
from engine.asterisk.softphones import BROWSER_PHONE


class Role(StrEnum):
    """Which of the two telephones a page is."""

    CALLER = "caller"
    HIDDEN = "hidden"


class Line(Outgoing):
    """A line of the page."""

    user: str = Field(description="The SIP user name.")
    password: str = Field(description="Its password, until the next start.")
    number: str = Field(description="The number of this telephone.")
    rented: str = Field(description="The rented number that rings the hidden telephone.")
    registers: bool = Field(description="Whether the line has to register, because it receives calls.")


async def give_line(role: Role, request: web.Request) -> web.Response:
    """Answers with a line, to our own page only."""
    require_own_page(request)
    is_caller = role is Role.CALLER
    user = CALLER if is_caller else BROWSER_PHONE.user
    return json_answer(
        Line(
            user=user,
            password=request.app[PHONES].passwords[user],
            number=CALLER_NUMBER if is_caller else BROWSER_PHONE.number,
            rented=BROWSER_PHONE.rented,
            registers=not is_caller,
        )
    )
