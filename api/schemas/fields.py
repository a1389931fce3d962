"""The types of the fields of bodies: how incoming values are checked, and how /openapi.json describes all of them.

`described` only adds to /openapi.json and checks nothing. For incoming numbers the domain explains better than a
pattern what is wrong, and outgoing values were checked when they came in.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, LiteralString, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from engine.domain import notes
from engine.domain.booking import CallerId
from engine.domain.destinations import COUNTRIES, AllowedDestinations, allowed_destination
from engine.domain.errors import Refusal
from engine.domain.number_choice import ANY_COUNTRY, AREA
from engine.domain.numbers import ANONYMOUS, E164, E164_PATTERN, ERASED, PREFIX, SENT, is_e164
from engine.domain.policy import UsagePlan
from engine.domain.prompts import Language
from engine.domain.screening import Screening
from engine.domain.times import NO_INSTANT, instant_from

BOOKING_ID = re.compile(r"bkg_[0-9a-f]{32}")
ACCOUNT_ID = re.compile(r"acc_[0-9a-f]{32}")
CDR_ID = re.compile(r"cdr_[0-9a-f]{32}")
CALLBACK_ID = re.compile(r"evt_[0-9a-f]{32}")
ENDPOINT_ID = re.compile(r"cep_[0-9a-f]{32}")
CURSOR = re.compile(r"[A-Za-z0-9_-]{1,200}")
CALLER = re.compile(f"{ANONYMOUS}|{SENT.pattern}")
# The numbers of past calls may have been erased.
PAST_CALLER = re.compile(f"{CALLER.pattern}|{ERASED}")
PAST_PHONE = re.compile(f"{E164_PATTERN.pattern}|{ERASED}")
URL = re.compile(r"https?://[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]+")
# Without surrogates: JSON in UTF-8 has none, and some clients' regular expressions cannot name them.
LABEL = re.compile(notes.LABEL.pattern.replace(r"\ud800-\udfff", ""))
VALUE = re.compile(r"[^\x00]*")
# E.164 allows 16 characters. Longer text gets a little further so that the domain can explain what is wrong.
MAX_NUMBER = 32
MAX_CALLBACK = 2048
MAX_INSTANT = 40

INVALID_CURSOR: LiteralString = "Use a cursor from `nextCursor` of the same list, unchanged."

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BodyRules:
    """Rules for bodies that depend on the operator's settings; passed to pydantic as the validation's context.

    Attributes:
        destinations: Which numbers may be hidden.
        check_callback: Raises CallbackNotAcceptable for a URL that may not be called.
        is_cursor: Whether the list in question has made a cursor; None if the body has no cursor.
    """

    destinations: AllowedDestinations
    check_callback: Callable[[str], None]
    is_cursor: Callable[[str], bool] | None = None


def described(pattern: re.Pattern[str] | None = None, **keywords: Any) -> Any:  # noqa: ANN401  as Field itself
    """Returns a Field with keywords of JSON Schema; `pattern` must match the whole value."""
    return Field(json_schema_extra={"pattern": whole(pattern), **keywords} if pattern else keywords)


def whole(pattern: re.Pattern[str]) -> str:
    """Returns the pattern for JSON Schema, whose patterns match anywhere in a value unless they are anchored."""
    return f"^({pattern.pattern})$" if "|" in pattern.pattern else f"^{pattern.pattern}$"


def _printable(text: str) -> str:
    """Refuses NUL, line ends and direction marks, which could falsify a log line or a header."""
    if not text.isprintable():
        raise PydanticCustomError("not_printable", "has control or other unprintable characters")
    return text


def _whole(value: object) -> object:
    """Turns 5.0 into 5: JSON has one type of number, and some clients always write a fraction."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _not_null(value: object) -> object:
    if value is None:
        raise PydanticCustomError("null", "must not be null. Leave it out instead")
    return value


def _matches(pattern: re.Pattern[str], message: LiteralString) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise PydanticCustomError("no_match", message)
        return text

    return check


def _wanted_country(text: str) -> str:
    if text != ANY_COUNTRY and text not in COUNTRIES:
        raise PydanticCustomError(
            "no_country", "must be a country with telephone numbers, as two capital letters, such as BE, or any"
        )
    return text


def _key(text: str) -> str:
    if not notes.KEY.fullmatch(text):
        raise PydanticCustomError("bad_key", "a key has 1 to 40 letters, digits, dots, hyphens or underscores")
    return text


def _value(text: str) -> str:
    if not notes.is_value(text):
        raise PydanticCustomError("bad_value", "a value has up to 500 characters, without NUL and lone surrogates")
    return text


def _refused(refusal: Refusal) -> PydanticCustomError:
    return PydanticCustomError(refusal.code, "{reason}", {"reason": str(refusal)})


def _destination(text: str, info: ValidationInfo) -> str:
    if isinstance(info.context, BodyRules):
        try:
            allowed_destination(E164(text), info.context.destinations)
        except Refusal as refusal:
            raise _refused(refusal) from None
    return text


def _callback(text: str, info: ValidationInfo) -> str:
    if isinstance(info.context, BodyRules):
        try:
            info.context.check_callback(text)
        except Refusal as refusal:
            raise _refused(refusal) from None
    return text


def _blocked_caller(text: str) -> str:
    if not is_e164(text):
        raise PydanticCustomError("invalid_caller", "caller must be an E.164 number, such as +3225551234")
    return text


def _instant(text: str) -> str:
    if instant_from(text) is None:
        raise PydanticCustomError("instant", NO_INSTANT)
    return text


def _cursor(text: str, info: ValidationInfo) -> str:
    if isinstance(info.context, BodyRules) and info.context.is_cursor and not info.context.is_cursor(text):
        raise PydanticCustomError("invalid_cursor", INVALID_CURSOR)
    return text


def _without_null(schema: dict[str, Any]) -> None:
    kind, _null = schema.pop("anyOf")
    del schema["default"]
    schema.update(kind)


Number = Annotated[
    str, Field(min_length=1, max_length=MAX_NUMBER), AfterValidator(_printable), described(E164_PATTERN, format="e164")
]
Destination = Annotated[Number, AfterValidator(_destination)]
CallerToBlock = Annotated[Number, AfterValidator(_blocked_caller)]
Callback = Annotated[
    str,
    Field(min_length=1, max_length=MAX_CALLBACK),
    AfterValidator(_printable),
    AfterValidator(_callback),
    described(URL, format="uri"),
]
InstantSent = Annotated[str, Field(max_length=MAX_INSTANT), AfterValidator(_instant), described(format="date-time")]
CursorSent = Annotated[str, Field(max_length=200), AfterValidator(_cursor), described(CURSOR)]
Prefix = Annotated[
    str, AfterValidator(_matches(PREFIX, "must be + and 1 to 14 digits, such as +32255")), described(PREFIX)
]
Service = Annotated[
    str,
    AfterValidator(_matches(E164_PATTERN, "must be an E.164 number, such as +3225551234")),
    described(E164_PATTERN, format="e164"),
]
# The pattern cannot list the countries that exist.
COUNTRY = re.compile(r"[A-Z]{2}")
WantedCountry = Annotated[
    str, AfterValidator(_wanted_country), described(re.compile(f"{COUNTRY.pattern}|{ANY_COUNTRY}"))
]
Area = Annotated[str, AfterValidator(_matches(AREA, "must be 1 to 10 digits, such as 2 or 415")), described(AREA)]
PlaceOfNumbers = Annotated[str, described(COUNTRY)]
Label = Annotated[
    str,
    AfterValidator(_matches(notes.LABEL, "has 1 to 100 characters, without control characters and direction marks")),
    described(LABEL, minLength=1, maxLength=notes.MAX_LABEL),
]
Key = Annotated[str, AfterValidator(_key)]
Value = Annotated[str, AfterValidator(_value), described(VALUE, maxLength=notes.MAX_VALUE)]
Metadata = Annotated[
    dict[Key, Value],
    Field(max_length=notes.MAX_PAIRS),
    described(propertyNames={"pattern": whole(notes.KEY)}),
]
WHOLE = BeforeValidator(_whole)
# Not strict: in strict mode pydantic accepts only the enum's own members, not their JSON strings.
Plan = Annotated[UsagePlan, Field(strict=False)]
ShownCaller = Annotated[CallerId, Field(strict=False)]
WantedScreening = Annotated[Screening, Field(strict=False)]
SpokenLanguage = Annotated[Language, Field(strict=False)]
# For answers: None means that the field is left out; it is never `null`.
LeftOut = Annotated[T | None, Field(json_schema_extra=_without_null)]
# For bodies that come in: the field may be left out (None), but `null` is refused.
Kept = Annotated[T | None, BeforeValidator(_not_null), Field(json_schema_extra=_without_null)]

AccountIdField = Annotated[str, described(ACCOUNT_ID)]
BookingIdField = Annotated[str, described(BOOKING_ID)]
CdrIdField = Annotated[str, described(CDR_ID)]
CallbackIdField = Annotated[str, described(CALLBACK_ID)]
EndpointIdField = Annotated[str, described(ENDPOINT_ID)]
Phone = Annotated[str, described(E164_PATTERN, format="e164")]
Cursor = Annotated[str, described(CURSOR)]
Caller = Annotated[str, described(CALLER)]
PastCaller = Annotated[str, described(PAST_CALLER)]
PastPhone = Annotated[str, described(PAST_PHONE)]
Url = Annotated[str, described(format="uri", maxLength=MAX_CALLBACK)]
UrlOrNone = Annotated[str, described(maxLength=MAX_CALLBACK)]
Instant = Annotated[str, described(re.compile(r"[0-9T:.-]{23}Z"), format="date-time")]
SipCode = Annotated[int, described(minimum=200, maximum=699)]
HangupCause = Annotated[int, described(minimum=1, maximum=127)]
Count = Annotated[int, described(minimum=0)]
