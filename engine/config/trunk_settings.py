"""The settings of one trunk: a table `[[trunks]]` in the file, or an element of the JSON list in the environment."""

from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.config.types import Country, MediaEncryption, Network
from engine.domain.number_plan import NumberFormat
from engine.domain.trunks import CARRIER_PREFIX, Trunk

# Trunks are written into Asterisk's files and into the dialplan's variables by their names.
TRUNK_NAME = r"^[a-z][a-z0-9-]{0,30}$"
SIP_URI = r"^sips?:([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(;transport=(udp|tcp|tls))?$"
MAX_TRUNKS = 20
# What Asterisk's files and a SIP header take without quoting; `@` and others are escaped where a URI needs it.
ACCOUNT = r"^[A-Za-z0-9][A-Za-z0-9._~+@=&!*'()$/-]{0,127}$"
REALM = r"^[A-Za-z0-9]([A-Za-z0-9 ._:@/()+-]{0,126}[A-Za-z0-9.)])?$"
SIP_USER = r"^[A-Za-z0-9+][A-Za-z0-9._~+-]{0,63}$"
SIP_DOMAIN = r"^[A-Za-z0-9][A-Za-z0-9.-]{0,253}$"
# Why SRTP needs TLS.
OTHERWISE = "or the keys would be sent unencrypted"

SipUri = Annotated[str, Field(pattern=SIP_URI)]


class Codec(StrEnum):
    """A sound codec, by Asterisk's name. Asterisk passes g729 on, but cannot convert it."""

    OPUS = "opus"
    G722 = "g722"
    ALAW = "alaw"
    ULAW = "ulaw"
    G729 = "g729"


class CallerIdHeader(StrEnum):
    """The SIP header in which the carrier expects the caller's number."""

    FROM = "from"
    PAI = "pai"
    RPID = "rpid"


class DialledNumber(StrEnum):
    """Where the carrier writes the dialled number: in the Request-URI or in the header To."""

    REQUEST = "request"
    TO = "to"


class TrunkSettings(BaseModel):
    """A line to a carrier. Calls to hidden numbers leave over it, and calls to rented numbers come in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=TRUNK_NAME, description="Name of the trunk: small letters, digits and -.")
    uri: SipUri = Field(
        description="SIP address of the carrier, to which calls to hidden numbers are sent. `;transport=tcp` or "
        "`;transport=tls` chooses another transport than UDP.",
        examples=["sip:sbc.carrier.example:5060", "sip:192.0.2.10;transport=tcp"],
    )
    addresses: list[Network] = Field(
        [], description="Addresses or networks from which the carrier sends calls to rented numbers."
    )
    username: str | None = Field(
        None,
        pattern=ACCOUNT,
        description="User name with which our requests are authenticated. `rented-numbers trunks password NAME` stores "
        "the password. Unset: the carrier asks for none.",
    )
    realm: str | None = Field(
        None, pattern=REALM, description="The only realm to which the password is given. Unset: any realm."
    )
    registers: bool = Field(
        False,
        alias="register",
        description="Whether to register with the carrier. Its calls then arrive over the registration.",
    )
    expires: int = Field(
        3600, ge=60, le=86_400, description="Seconds for which a registration is requested; it is renewed in time."
    )
    from_user: str | None = Field(
        None,
        pattern=SIP_USER,
        description="User in the header From of calls that leave. Unset: the caller's number. If it is set, the "
        "caller's number is shown only where `caller_id_header` is `pai` or `rpid`.",
    )
    from_domain: str | None = Field(
        None, pattern=SIP_DOMAIN, description="Domain in the header From, and of the registration. Unset: our address."
    )
    caller_id_header: CallerIdHeader = Field(
        CallerIdHeader.FROM,
        description="Header in which the carrier expects the caller's number: `from`, `pai` (P-Asserted-Identity) or "
        "`rpid` (Remote-Party-ID). A number that the caller withholds is in none of them.",
    )
    dialled_number: DialledNumber = Field(
        DialledNumber.REQUEST,
        description="Where the carrier writes the dialled number: `request` (Request-URI) or `to` (header To).",
    )
    outbound_proxy: SipUri | None = Field(
        None, description="SIP address of the proxy through which all requests to the carrier go. Unset: none."
    )
    qualify: int = Field(
        0,
        ge=0,
        le=3600,
        description="Seconds between two OPTIONS requests to the carrier, which also keep a NAT open. While the "
        "carrier does not answer within 3 seconds, no call is sent over the trunk. 0: no such requests.",
    )
    asserts_identity: bool = Field(
        False,
        description="Whether a P-Asserted-Identity from the carrier is its own word on who calls: it removes what "
        "callers send under that name and writes its own. Reverse calls need it. Ask the carrier for it in writing.",
    )
    number_format: NumberFormat = Field(
        NumberFormat.PLUS,
        description="How numbers are written to the carrier: `e164`, `plus`, `00` or `national`. Numbers from the "
        "carrier are read in all of these forms.",
    )
    country: Country | None = Field(
        None,
        description="Country (ISO 3166) in which the carrier's national numbers are valid. Unset: national numbers "
        "stay as the carrier sends them.",
    )
    codecs: list[Codec] | None = Field(
        None,
        min_length=1,
        description="Codecs, the preferred one first: of `opus`, `g722`, `alaw`, `ulaw`, and `g729`, which Asterisk "
        "cannot convert. Unset: `alaw`, `ulaw`, `g722`, `opus`, `g729`.",
    )
    max_calls: int | None = Field(
        None, ge=1, le=100_000, description="Calls that may leave over the trunk at the same time. Unset: no limit."
    )
    media_encryption: MediaEncryption = Field(
        MediaEncryption.NONE,
        description="`none`, `optional` or `sdes`: whether sound on this trunk is encrypted (SRTP), as in "
        "`MEDIA_ENCRYPTION`.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> "TrunkSettings":
        if self.username is None:
            for name, is_set in (("register", self.registers), ("realm", self.realm is not None)):
                if is_set:
                    raise ValueError(f"{name} needs username")
        for name, uri in (("uri", self.uri), ("outbound_proxy", self.outbound_proxy)):
            if uri is not None and uri.startswith("sips:") and uri.endswith((";transport=udp", ";transport=tcp")):
                raise ValueError(f"{name}: sips: works over TLS alone, so write ;transport=tls or nothing")
        if self.media_encryption is MediaEncryption.SDES and not self.over_tls:
            name = "uri" if self.outbound_proxy is None else "outbound_proxy"
            raise ValueError(f"media_encryption = sdes needs ;transport=tls in {name}, {OTHERWISE}")
        if self.number_format is NumberFormat.NATIONAL and self.country is None:
            raise ValueError("number_format national needs country")
        if self.codecs is not None and len(set(self.codecs)) < len(self.codecs):
            raise ValueError("codecs has one of them twice")
        return self

    @property
    def next_hop(self) -> str:
        """The SIP URI to which requests are sent: the proxy's or the carrier's."""
        return self.outbound_proxy or self.uri

    @property
    def hosts(self) -> list[str]:
        """The hosts of the carrier and of the proxy, from which requests within calls may come."""
        return [host_of(uri) for uri in (self.uri, self.outbound_proxy) if uri is not None]

    @property
    def next_address(self) -> IPv4Address | IPv6Address | None:
        """The address of `next_hop`; None if it is given by name."""
        try:
            return ip_address(host_of(self.next_hop))
        except ValueError:
            return None

    @property
    def over_tls(self) -> bool:
        """Whether calls to hidden numbers are sent over TLS."""
        return is_over_tls(self.next_hop)

    @property
    def takes_calls(self) -> bool:
        """Whether calls to rented numbers can come in."""
        return self.registers or bool(self.addresses)

    @property
    def connects_slowly(self) -> bool:
        """Whether a name has to be resolved or a connection made before the carrier can answer."""
        target = self.outbound_proxy or self.uri
        try:
            ip_address(host_of(target))
        except ValueError:
            return True
        return not target.startswith("sip:") or target.endswith((";transport=tcp", ";transport=tls"))

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
        return Trunk(self.name, self.number_format, self.country, self.max_calls, self.asserts_identity)


def host_of(uri: str) -> str:
    """Returns the host of a SIP URI: `2001:db8::1` for `sip:[2001:db8::1]:5060;transport=tcp`."""
    address = uri.partition(":")[2].partition(";")[0]
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0]


def is_over_tls(uri: str) -> bool:
    """Returns whether requests to a SIP URI are sent over TLS."""
    return uri.startswith("sips:") or uri.endswith(";transport=tls")
