"""The fields of a booking in forms, which portal and console share: what they show, and what they say to the API.

A form sends all its fields, but only those that differ from what the page showed are changed. So a field can stay as it
is although it could not be chosen any more, such as a whisper where the operator has switched prompts off.
"""

import re
from collections.abc import Mapping
from typing import Any

from api.http.problems import ProblemError, pointer_to
from api.schemas.common import FieldError
from engine.domain.errors import InvalidInput
from engine.domain.hours import hours_as_json, hours_from_text
from engine.domain.prompts import Language
from engine.domain.screening import Screening

TRUTH = {"yes": True, "no": False}
FLAGS = ("paused", "refuseAnonymous", "whisper", "greeting", "beep", "reverse", "acceptFormerCallers")
CALL_FIELDS = frozenset(
    {
        "language",
        "screening",
        "whisper",
        "greeting",
        "beep",
        "reverse",
        "acceptFormerCallers",
        "hours",
        "timeZone",
        "startTime",
    }
)
# Those of them that a pair does not have: both of its people call, and nobody else reaches them.
NOT_OF_PAIRS = frozenset({"reverse", "acceptFormerCallers"})
LANGUAGES: Mapping[str, str] = {
    Language.EN: "English",
    Language.FR: "French",
    Language.NL: "Dutch",
    Language.DE: "German",
}
SCREENINGS: Mapping[str, str] = {
    Screening.NONE: "is connected when it answers",
    Screening.PRESS1: "must press 1 to be connected",
}
# What a browser sends of a field for date and time.
_TO_THE_MINUTE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}")


def call_choices() -> dict[str, list[tuple[str, str]]]:
    """Returns the choices of the fields about calls: pairs of a value and its text."""
    return {"languages": list(LANGUAGES.items()), "screenings": list(SCREENINGS.items())}


def texts_of(booking: Mapping[str, Any]) -> dict[str, str]:
    """Returns how a form shows the fields of a booking, as the API answers it, that have no text of their own."""
    hours = booking["hours"] or {"timeZone": "", "open": []}
    return {
        **{flag: "yes" if booking[flag] else "no" for flag in FLAGS},
        "language": booking["language"],
        "screening": booking["screening"],
        "hours": "\n".join(f"{','.join(each['days'])} {each['from']}-{each['to']}" for each in hours["open"]),
        "timeZone": hours["timeZone"],
        "startTime": booking["startTime"][:16],
    }


def changed_texts(form: Mapping[str, str], shown: Mapping[str, str]) -> dict[str, str]:
    """Returns the fields of a form that differ from what the page showed."""
    sent = {name: value.strip().replace("\r\n", "\n") for name, value in form.items()}
    return {name: value for name, value in sent.items() if value != shown[name]}


def body_of(texts: Mapping[str, str], shown: Mapping[str, str]) -> dict[str, Any]:
    """Returns the body that the API gets for the changed fields of a form.

    A text that stands for no value goes into the body as it is, which the API then refuses, and names the field.

    Raises:
        ProblemError: The hours cannot be read.
    """
    values = {name: _value_of(name, text) for name, text in texts.items() if name not in {"hours", "timeZone"}}
    if not texts.keys() & {"hours", "timeZone"}:
        return values
    every = {**shown, **texts}
    hours = _hours_of(every["hours"], every["timeZone"])
    # A time zone alone changes nothing: the page fills it in.
    return values if hours is None and not shown["hours"] else values | {"hours": hours}


def _value_of(name: str, text: str) -> Any:  # noqa: ANN401  a JSON value
    if name in FLAGS or name == "pins":  # which only a new pair may have
        return TRUTH.get(text, text)
    if name == "startTime" and _TO_THE_MINUTE.fullmatch(text):
        return f"{text}:00Z"
    return text or None


def _hours_of(lines: str, time_zone: str) -> dict[str, Any] | None:
    """Returns the hours as JSON; None for none, which is any time."""
    times = [line for line in lines.split("\n") if line.strip()]
    if not times:
        return None
    try:
        return hours_as_json(hours_from_text(time_zone, times))
    except InvalidInput as invalid:
        errors = tuple(_error_of(problem) for problem in invalid.problems)
        raise ProblemError("invalid_request", "See `errors` for everything that is wrong.", errors) from None


def _error_of(problem: str) -> FieldError:
    prefix = "timeZone "
    field = prefix.strip() if problem.startswith(prefix) else "hours"
    return FieldError(field=field, message=problem.removeprefix(prefix), pointer=pointer_to((field,)))
