"""Weekly hours, as they come in and go out."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from api.schemas.common import Incoming
from engine.domain.errors import InvalidInput
from engine.domain.hours import MAX_SPANS, WeeklyHours, hours_as_json, hours_from_json

DayName = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]"


class OpenTime(Incoming):
    """A time of some days of the week."""

    model_config = ConfigDict(serialize_by_alias=True)

    days: Annotated[list[DayName], Field(min_length=1, max_length=7)]
    begin: Annotated[str, Field(alias="from", pattern=f"^{_TIME}$")]
    """When it begins, such as `09:00`."""
    end: Annotated[str, Field(alias="to", pattern=f"^({_TIME}|24:00)$")]
    """When it ends, such as `17:30`, later than `from`. `24:00`: at the end of the day."""


class Hours(Incoming):
    """When the booking takes calls, by the clocks of a time zone. A time over midnight needs two entries."""

    model_config = ConfigDict(serialize_by_alias=True)

    time_zone: Annotated[str, Field(min_length=1, max_length=64)]
    """The name in the IANA database, such as `Europe/Brussels`."""
    open: Annotated[list[OpenTime], Field(min_length=1, max_length=MAX_SPANS)]

    @model_validator(mode="after")
    def _must_make_sense(self) -> "Hours":
        try:
            self.weekly()
        except InvalidInput as invalid:
            raise PydanticCustomError("hours", "{why}", {"why": str(invalid)}) from None
        return self

    def weekly(self) -> WeeklyHours:
        """Returns the hours as the domain has them. Raises InvalidInput."""
        return hours_from_json(self.model_dump())

    @classmethod
    def of(cls, hours: WeeklyHours) -> "Hours":
        """Returns the hours of a booking."""
        return cls.model_validate(hours_as_json(hours))
