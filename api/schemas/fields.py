"""The kinds of values that bodies have: how those that come in are checked, and what is told of all of them.

What stands in `told` is for /openapi.json alone: what is wrong with a number that comes in, the domain says better than
a pattern could, and what goes out was checked when it came in.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any, LiteralString, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from engine.domain import notes
from engine.domain.booking import CallerId
from engine.domain.destinations import COUNTRIES
from engine.domain.numbers import ANONYMOUS, E164_PATTERN, ERASED, PREFIX, SENT
from engine.domain.policy import UsagePlan

BOOKING_ID = re.compile(r"bkg_[0-9a-f]{32}")
ACCOUNT_ID = re.compile(r"acc_[0-9a-f]{32}")
CDR_ID = re.compile(r"cdr_[0-9a-f]{32}")
CALLBACK_ID = re.compile(r"evt_[0-9a-f]{32}")
ENDPOINT_ID = re.compile(r"cep_[0-9a-f]{32}")
CURSOR = re.compile(r"[A-Za-z0-9_-]{1,200}")
CALLER = re.compile(f"{ANONYMOUS}|{SENT.pattern}")
# In what is kept of a call, either number may have been erased since.
PAST_CALLER = re.compile(f"{CALLER.pattern}|{ERASED}")
PAST_PHONE = re.compile(f"{E164_PATTERN.pattern}|{ERASED}")
URL = re.compile(r"https?://[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]+")
# Without the halves of characters, which no JSON in UTF-8 has and not every client's regular expressions can name.
LABEL = re.compile(notes.LABEL.pattern.replace(r"\ud800-\udfff", ""))
VALUE = re.compile(r"[^\x00]*")
# E.164 has 16 characters at most; a little more lets the domain say what is wrong with a longer number.
MAX_NUMBER = 32
MAX_CALLBACK = 2048

T = TypeVar("T")


def told(pattern: re.Pattern[str] | None = None, **keywords: Any) -> Any:  # noqa: ANN401  as Field itself
    """A Field with keywords of JSON Schema; `pattern` holds for the whole value."""
    return Field(json_schema_extra={"pattern": whole(pattern), **keywords} if pattern else keywords)


def whole(pattern: re.Pattern[str]) -> str:
    """As JSON Schema has it, whose patterns else match anywhere in a value."""
    return f"^({pattern.pattern})$" if "|" in pattern.pattern else f"^{pattern.pattern}$"


def _printable(text: str) -> str:
    """NUL, line ends, direction marks: nothing that could change what a log or a header line says."""
    if not text.isprintable():
        raise PydanticCustomError("not_printable", "has control or other unprintable characters")
    return text


def _whole(value: object) -> object:
    """JSON knows one kind of number: 5.0 is as whole as 5, and some clients write no other."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _not_null(value: object) -> object:
    if value is None:
        raise PydanticCustomError("null", "must not be null; leave it out instead")
    return value


def _matches(pattern: re.Pattern[str], message: LiteralString) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise PydanticCustomError("no_match", message)
        return text

    return check


def _country(text: str) -> str:
    if text not in COUNTRIES:
        raise PydanticCustomError("no_country", "is no country that has numbers: two capital letters, such as BE")
    return text


def _pairs(metadata: dict[str, str]) -> dict[str, str]:
    """The refusals have no word of what was sent: keys and values may be anything."""
    if not all(notes.KEY.fullmatch(key) for key in metadata):
        raise PydanticCustomError("bad_key", "a key has 1 to 40 letters, digits, dots, hyphens or underscores")
    if not all(notes.is_value(value) for value in metadata.values()):
        raise PydanticCustomError("bad_value", "a value has up to 500 characters, none of them NUL or half a character")
    return metadata


def _tell_no_null(schema: dict[str, Any]) -> None:
    kind, _null = schema.pop("anyOf")
    del schema["default"]
    schema.update(kind)


Number = Annotated[
    str, Field(min_length=1, max_length=MAX_NUMBER), AfterValidator(_printable), told(E164_PATTERN, format="e164")
]
Callback = Annotated[
    str, Field(min_length=1, max_length=MAX_CALLBACK), AfterValidator(_printable), told(URL, format="uri")
]
Prefix = Annotated[str, AfterValidator(_matches(PREFIX, "must be + and 1 to 14 digits, such as +32255")), told(PREFIX)]
Service = Annotated[
    str,
    AfterValidator(_matches(E164_PATTERN, "must be an E.164 number, such as +3225551234")),
    told(E164_PATTERN, format="e164"),
]
# Which countries there are, no pattern can say.
COUNTRY = re.compile(r"[A-Z]{2}")
Country = Annotated[str, AfterValidator(_country), told(COUNTRY)]
PlaceOfNumbers = Annotated[str, told(COUNTRY)]
Label = Annotated[
    str,
    AfterValidator(_matches(notes.LABEL, "has 1 to 100 characters, none of them for control or direction")),
    told(LABEL, minLength=1, maxLength=notes.MAX_LABEL),
]
Value = Annotated[str, told(VALUE, maxLength=notes.MAX_VALUE)]
Metadata = Annotated[
    dict[str, Value],
    Field(max_length=notes.MAX_PAIRS),
    AfterValidator(_pairs),
    told(propertyNames={"pattern": whole(notes.KEY)}),
]
WHOLE = BeforeValidator(_whole)
# Not strict: in strict mode pydantic takes the enum's own objects only, never their JSON strings.
Plan = Annotated[UsagePlan, Field(strict=False)]
ShownCaller = Annotated[CallerId, Field(strict=False)]
# None here is a field that is left out of the document, and never `null`.
LeftOut = Annotated[T | None, Field(json_schema_extra=_tell_no_null)]
# Left out it stays as it was, or is not asked for; null is refused.
Kept = Annotated[T | None, BeforeValidator(_not_null), Field(json_schema_extra=_tell_no_null)]

AccountIdField = Annotated[str, told(ACCOUNT_ID)]
BookingIdField = Annotated[str, told(BOOKING_ID)]
CdrIdField = Annotated[str, told(CDR_ID)]
CallbackIdField = Annotated[str, told(CALLBACK_ID)]
EndpointIdField = Annotated[str, told(ENDPOINT_ID)]
Phone = Annotated[str, told(E164_PATTERN, format="e164")]
Cursor = Annotated[str, told(CURSOR)]
Caller = Annotated[str, told(CALLER)]
PastCaller = Annotated[str, told(PAST_CALLER)]
PastPhone = Annotated[str, told(PAST_PHONE)]
Url = Annotated[str, told(format="uri", maxLength=MAX_CALLBACK)]
Instant = Annotated[str, told(re.compile(r"[0-9T:.-]{23}Z"), format="date-time")]
Count = Annotated[int, told(minimum=0)]
