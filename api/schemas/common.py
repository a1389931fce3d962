"""What the types of all bodies have in common, and the bodies of pages and problems.

Incoming bodies are strict: unknown fields are refused, nothing is converted, everything has a limit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from api.schemas.fields import Cursor, LeftOut, described

T = TypeVar("T")


class Incoming(BaseModel):
    """The body of a request. The docstrings of models and their fields are the descriptions of /openapi.json."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, alias_generator=to_camel, use_attribute_docstrings=True
    )

    @classmethod
    def conflict_in(cls, _sent: Mapping[str, object]) -> "Conflict | None":
        """What is wrong between the fields of a body, which may be wrong themselves; None if nothing is."""
        return None


@dataclass(frozen=True, slots=True)
class Conflict:
    """What is wrong between the fields of a body.

    Attributes:
        message: For people.
        field: The field that is to blame; empty if it is none of them alone.
    """

    message: str
    field: str = ""


class Outgoing(BaseModel):
    """The body of an answer. The docstrings of models and their fields are the descriptions of /openapi.json."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=False,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
    )


class Page(Outgoing, Generic[T]):
    """A page of a list. There is no total: counting a list costs more than reading a page."""

    data: list[T]
    has_more: bool
    next_cursor: Cursor | None
    """The `cursor` of the next page; `null` on the last page."""


class FieldError(Outgoing):
    """One thing that is wrong with a request."""

    field: str
    """The field of the body, or the query parameter. Empty if the body as a whole is wrong."""
    message: str
    """What is wrong, for people."""
    pointer: LeftOut[Annotated[str, described(format="json-pointer")]] = None
    """Where it is in the body: a JSON pointer (RFC 6901), such as `/metadata/order`. Left out for query parameters."""


class ProblemBody(Outgoing):
    """A problem document (RFC 9457). Programs should use `code`; `title` and `detail` may change."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    """Whether the same request may succeed later. `Retry-After` says when to try again."""
    errors: LeftOut[list[FieldError]] = None
    """The fields or query parameters that are wrong. For a body these are all of them, up to 20."""
