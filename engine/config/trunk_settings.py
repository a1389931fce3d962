"""The settings of one trunk: a table `[[trunks]]` in the file, or an element of the JSON list in the environment."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from engine.config.types import Country, MediaEncryption, Network
from engine.domain.number_plan import NumberFormat
from engine.domain.trunks import CARRIER_PREFIX, Trunk

# Trunks are written into Asterisk's files and into the dialplan's variables by their names.
TRUNK_NAME = r"^[a-z][a-z0-9-]{0,30}$"
SIP_URI = r"^sips?:[A-Za-z0-9.:\[\]-]+(;transport=(udp|tcp|tls))?$"
MAX_TRUNKS = 20

SipUri = Annotated[str, Field(pattern=SIP_URI)]


class DialledNumber(StrEnum):
    """Where the carrier writes the dialled number: in the Request-URI or in the header To."""

    REQUEST = "request"
    TO = "to"


class TrunkSettings(BaseModel):
    """A line to a carrier. Calls to hidden numbers leave over it, and calls to rented numbers come in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=TRUNK_NAME, description="Name of the trunk: small letters, digits and -.")
    uri: SipUri = Field(
        description="SIP address of the carrier to which calls to hidden numbers are sent.",
        examples=["sip:sbc.carrier.example:5060", "sip:192.0.2.10;transport=tcp"],
    )
    addresses: list[Network] = Field(
        [], description="Addresses or networks from which the carrier sends calls to rented numbers."
    )
    dialled_number: DialledNumber = Field(
        DialledNumber.REQUEST,
        description="Where the carrier writes the dialled number: `request` (Request-URI) or `to` (header To).",
    )
    number_format: NumberFormat = Field(
        NumberFormat.PLUS, description="How numbers are written to the carrier: `e164`, `plus`, `00` or `national`."
    )
    country: Country | None = Field(
        None, description="Country (ISO 3166) in which the carrier's national numbers are valid. Unset: it sends none."
    )
    max_calls: int | None = Field(
        None, ge=1, le=100_000, description="Calls that may leave over the trunk at the same time. Unset: no limit."
    )
    media_encryption: MediaEncryption = Field(
        MediaEncryption.NONE,
        description="`none`, `optional` or `sdes`: whether sound on this trunk is encrypted (SRTP), as in "
        "`MEDIA_ENCRYPTION`.",
    )

    @property
    def over_tls(self) -> bool:
        """Whether calls to hidden numbers are sent over TLS."""
        return self.uri.startswith("sips:") or self.uri.endswith(";transport=tls")

    @property
    def endpoint(self) -> str:
        """Asterisk's name of the endpoint by which calls to hidden numbers leave."""
        return f"trunk-{self.name}"

    @property
    def carrier(self) -> str:
        """Asterisk's name of the endpoint by which the carrier's calls to rented numbers come in."""
        return f"{CARRIER_PREFIX}{self.name}"

    def as_routed(self) -> Trunk:
        """Returns what routing needs to know about the trunk."""
        return Trunk(self.name, self.number_format, self.country, self.max_calls)
