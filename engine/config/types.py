"""Types of settings: durations, addresses that are safe to write into Asterisk's files, usage plans."""

import ipaddress
import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from engine.domain.destinations import COUNTRIES


def _seconds_or_iso8601(value: object) -> object:
    """Takes a plain number in a string as seconds, because the environment has only strings."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


Duration = Annotated[timedelta, BeforeValidator(_seconds_or_iso8601), Field(gt=timedelta(0))]
Port = Annotated[int, Field(ge=1, le=65535)]


def _address(value: str) -> str:
    """Refuses a scope too: Python accepts any text as one, even a line break."""
    if "%" in value:
        raise ValueError("must be an IP address without a scope")
    try:
        ipaddress.ip_address(value)
    except ValueError:
        raise ValueError("must be an IP address") from None
    return value


def _network(value: str) -> str:
    """Returns the network as Asterisk reads it, without bits outside the mask. Refuses a scope, as above."""
    if "%" in value:
        raise ValueError("must be an IP address or network without a scope")
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise ValueError("must be an IP address or network") from None


LOOPBACK = ("127.0.0.0/8", "::1")


def is_loopback(host: str) -> bool:
    """Returns whether only this machine can reach what listens on `host`. False for names but `localhost`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# These are written into Asterisk's files: a value must not be able to start a new line there.
Host = Annotated[str, Field(pattern="^[A-Za-z0-9.:-]+$", examples=["127.0.0.1"])]
Address = Annotated[str, AfterValidator(_address)]
Network = Annotated[str, AfterValidator(_network)]


_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")


def _host_and_port(value: str) -> str:
    match = _HOST_AND_PORT.fullmatch(value)
    if match is None or not 1 <= int(match[2]) <= 65535:
        raise ValueError("must be an address and a port, such as 127.0.0.1:9464 or [::1]:9464")
    return value


def _host_and_port_or_nothing(value: str) -> str:
    try:
        return value and _host_and_port(value)
    except ValueError as error:
        raise ValueError(f"{error}, or empty") from None


def _address_and_port(value: str) -> str:
    host = _host_and_port(value).rpartition(":")[0]
    _address(host.strip("[]"))
    return value


AddressAndPort = Annotated[str, AfterValidator(_address_and_port)]
HostAndPort = Annotated[str, AfterValidator(_host_and_port)]
MetricsAddress = Annotated[str, AfterValidator(_host_and_port_or_nothing)]


def bracketed(host: str) -> str:
    """Returns a host as it stands in a URI: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def reachable(host: str) -> str:
    """Returns where a service that listens on `host` can be reached from this machine, as it stands in a URL."""
    return bracketed({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host))  # noqa: S104  compared, not bound


def _country(value: str) -> str:
    if value not in COUNTRIES:
        raise ValueError("must be a country code of two capital letters (ISO 3166)")
    return value


Country = Annotated[str, AfterValidator(_country)]
Prefix = Annotated[str, Field(pattern=r"^\+[1-9][0-9]{0,14}$")]


def lower_keys(value: object) -> object:
    """Returns a dictionary with its keys in lower case, and anything else unchanged."""
    return {key.lower(): inner for key, inner in value.items()} if isinstance(value, dict) else value


def milliseconds(duration: timedelta) -> int:
    """Returns the whole milliseconds of `duration`."""
    return duration // timedelta(milliseconds=1)


class Profile(StrEnum):
    """What the installation is for.

    `demo` makes an account, numbers and softphones at the first start, and lets callbacks go to loopback over plain
    HTTP.
    """

    PRODUCTION = "production"
    DEMO = "demo"


class MediaEncryption(StrEnum):
    """How sound between the carrier and Asterisk is encrypted: by SRTP with its keys in the SDP (RFC 4568), or not."""

    NONE = "none"
    OPTIONAL = "optional"
    SDES = "sdes"


class PlanSettings(BaseModel):
    """What one usage plan grants."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: int = Field(gt=0, le=10**9, description="Answered seconds that the plan grants.")
    calls: int = Field(gt=0, le=10**9, description="Answered calls that the plan grants.")
    valid_for: Duration = Field(description="Time for which the plan lasts.")
    price: int | None = Field(
        None,
        ge=0,
        le=10**12,
        description="What the plan costs, in the smallest unit of `CURRENCY`: 990 for 9.90 EUR. It is shown; "
        "the engine charges nobody.",
    )


class PlansSettings(BaseModel):
    """What each usage plan grants."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    small: PlanSettings = PlanSettings(seconds=30 * 60, calls=25, valid_for=timedelta(days=7))
    medium: PlanSettings = PlanSettings(seconds=120 * 60, calls=100, valid_for=timedelta(days=30))
    large: PlanSettings = PlanSettings(seconds=600 * 60, calls=500, valid_for=timedelta(days=90))

    @model_validator(mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        """Takes names in both cases: the API writes `SMALL`, names in the environment arrive as `small`."""
        return lower_keys(value)
