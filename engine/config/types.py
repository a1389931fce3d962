"""What settings are made of: durations, addresses that may stand in Asterisk's files, plans."""

import ipaddress
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from engine.domain.destinations import COUNTRIES


def _seconds_or_iso8601(value: object) -> object:
    """The environment has only strings; a plain number in one means seconds."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


Duration = Annotated[timedelta, BeforeValidator(_seconds_or_iso8601), Field(gt=timedelta(0))]
Port = Annotated[int, Field(ge=1, le=65535)]


def _address(value: str) -> str:
    """Without a scope: Python takes any text for one, a line break too."""
    if "%" in value:
        raise ValueError("must be an IP address without a scope")
    try:
        ipaddress.ip_address(value)
    except ValueError:
        raise ValueError("must be an IP address") from None
    return value


def _network(value: str) -> str:
    """As Asterisk reads it: without bits beside the mask. No scope, as above."""
    if "%" in value:
        raise ValueError("must be an IP address or network without a scope")
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise ValueError("must be an IP address or network") from None


LOOPBACK = ("127.0.0.0/8", "::1")


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# What goes into Asterisk's files must not be able to end its line there.
Host = Annotated[str, Field(pattern="^[A-Za-z0-9.:-]+$", examples=["127.0.0.1"])]
Address = Annotated[str, AfterValidator(_address)]
Network = Annotated[str, AfterValidator(_network)]


def _country(value: str) -> str:
    if value not in COUNTRIES:
        raise ValueError("must be a country in two capital letters, as ISO 3166 has it")
    return value


Country = Annotated[str, AfterValidator(_country)]
Prefix = Annotated[str, Field(pattern=r"^\+[1-9][0-9]{0,14}$")]


def lower_keys(value: object) -> object:
    return {key.lower(): inner for key, inner in value.items()} if isinstance(value, dict) else value


def milliseconds(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)


class Profile(StrEnum):
    PRODUCTION = "production"
    # Makes an account, numbers and softphones at first run, and lets callbacks go to loopback over plain HTTP.
    DEMO = "demo"


class MediaEncryption(StrEnum):
    NONE = "none"
    # SRTP with keys in the SDP (RFC 4568).
    SDES = "sdes"


class PlanSettings(BaseModel):
    """What one usage plan gives."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: int = Field(gt=0, le=10**9, description="answered seconds that a booking may spend")
    calls: int = Field(gt=0, le=10**9, description="answered calls that a booking may take")
    valid_for: Duration = Field(description="how long the booking lasts")


class PlansSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    small: PlanSettings = PlanSettings(seconds=30 * 60, calls=25, valid_for=timedelta(days=7))
    medium: PlanSettings = PlanSettings(seconds=120 * 60, calls=100, valid_for=timedelta(days=30))
    large: PlanSettings = PlanSettings(seconds=600 * 60, calls=500, valid_for=timedelta(days=90))

    @model_validator(mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        """`SMALL` as in the API, or `small` as the environment's names come."""
        return lower_keys(value)
