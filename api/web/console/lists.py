"""What lists and searches of the console have in common: pages, and numbers as people type them."""

import re
from collections.abc import Sequence
from typing import Any, TypeVar

from api.http.parsing import unacceptable, with_plus
from api.web.frame.site import Visit
from engine.domain.number_plan import caller_of
from engine.domain.numbers import ANONYMOUS, E164, SENT
from engine.domain.trunks import typed_plan

T = TypeVar("T")
# Rows of one page of a list.
PAGE = 50
BEFORE = "before"
NO_COUNTRY = (
    "Type the country's code before the number, such as +3225551234 for 02 555 12 34: the trunks' settings do not name "
    "one country in which national numbers are valid."
)
_NATIONAL = re.compile("0[1-9][0-9]+")
_SEPARATORS = re.compile(r"[\s()./-]")


def text_of(visit: Visit, name: str) -> str:
    """Returns what was typed into a field of a search form; "" if nothing was."""
    return visit.request.query.get(name, "").strip()


def place_of(visit: Visit, pattern: re.Pattern[str]) -> str | None:
    """Returns the id after which the page begins; None for the first one. Raises ProblemError."""
    before = visit.request.query.get(BEFORE)
    if before is not None and not pattern.fullmatch(before):
        raise unacceptable(BEFORE, "must be the id at which the page before ended")
    return before


def page_of(found: Sequence[T], goes_on_after: str | None, id_of: Any) -> tuple[Sequence[T], str | None]:  # noqa: ANN401
    """Returns up to PAGE of the rows, and the id after which the next page begins; None if there is none."""
    shown = found[:PAGE]
    return shown, id_of(shown[-1]) if len(found) > PAGE else goes_on_after


def typed(visit: Visit, name: str) -> str:
    """Returns what was typed as a number, without what people write between digits."""
    return without_separators(with_plus(visit.request.query.get(name, "")))


def without_separators(text: str) -> str:
    """Returns a number without what people write between its digits."""
    return _SEPARATORS.sub("", text)


def number_of(visit: Visit, text: str) -> E164 | None:
    """Returns the number that was typed, also as the carriers' country dials it; None if it is no number."""
    return typed_plan(visit.deps.policy.trunks).read(text) if SENT.fullmatch(text) else None


def caller_named(visit: Visit, text: str) -> str | None:
    """Returns the caller that was typed, as records name it; None if it is none."""
    if text == ANONYMOUS:
        return ANONYMOUS
    return caller_of(text, typed_plan(visit.deps.policy.trunks)) if SENT.fullmatch(text) else None


def wrong_number(visit: Visit, text: str, also: str = "") -> str:
    """Returns what is wrong with a text that is no number, and what to type. `also`: what else the form takes."""
    if _NATIONAL.fullmatch(text) and typed_plan(visit.deps.policy.trunks).country is None:
        return NO_COUNTRY
    return f"This is not a telephone number, such as +3225551234{also}."
