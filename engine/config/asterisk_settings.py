"""The settings of Asterisk and of the carrier's trunk: a part of `engine.config.settings`."""

import ipaddress
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings

from engine.config.trunk_settings import MAX_TRUNKS, SIP_URI, TrunkSettings
from engine.config.tuning import CALL_DEADLINE_SECONDS, ENGINES_SECONDS, MAX_ENGINES
from engine.config.types import (
    LOOPBACK,
    Address,
    AddressAndPort,
    Host,
    HostAndPort,
    MediaEncryption,
    Network,
    Port,
    reachable,
)

# Private networks (RFC 1918, RFC 6598, RFC 4193), link-local addresses and loopback.
PRIVATE = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "fc00::/7",
    "fe80::/10",
    "::1/128",
)
# The name of the trunk that `trunk_uri` describes.
ONLY_TRUNK = "main"
# A call takes four ports: RTP and RTCP with each of its two sides. The fifth is a reserve for calls that are refused:
# Asterisk allocates ports before it counts calls, and without a free one it answers 488, after which a carrier does not
# try its next route.
PORTS_PER_CALL = 5


class AsteriskSettings(BaseSettings):
    """How the engine reaches Asterisk, and where our own Asterisk listens and sends calls."""

    fastagi_host: Host = Field("127.0.0.1", description="Address on which the engine listens for FastAGI requests.")
    fastagi_port: Port = Field(4573, description="Port of the FastAGI server.")
    fastagi_peers: list[Network] | None = Field(
        None,
        min_length=1,
        description="Addresses or networks of the Asterisks that may send FastAGI requests. Unset: only this machine.",
        examples=['["192.0.2.20"]'],
    )
    fastagi_engines: list[HostAndPort] = Field(
        [],
        max_length=MAX_ENGINES,
        description="Addresses and ports at which Asterisk reaches the engines that share one database, its own first: "
        f"at most {MAX_ENGINES}. It asks the next one if one refuses, hangs or drains. Empty: this engine alone.",
        examples=['["127.0.0.1:4573", "192.0.2.21:4573"]'],
    )
    ami_host: Host = Field("127.0.0.1", description="Address of Asterisk's manager interface (AMI).")
    ami_port: Port = Field(5038, description="Port of Asterisk's manager interface (AMI).")
    ami_permit: list[Network] = Field(
        ["127.0.0.1", "::1"],
        min_length=1,
        description="Addresses or networks from which Asterisk lets the engine log in to its manager interface.",
        examples=['["192.0.2.7"]'],
    )
    manage_asterisk: bool = Field(True, description="Whether `run` starts and stops an Asterisk of its own.")
    sip_host: Address = Field(
        "127.0.0.1",
        description="Address on which our own Asterisk speaks SIP and RTP. `0.0.0.0` is every IPv4 address, and every "
        "IPv6 address too if a trunk has one.",
    )
    sip_port: Port = Field(5060, description="SIP port of our own Asterisk, UDP and TCP.")
    sip_plain: bool | None = Field(
        None,
        description="Whether our own Asterisk listens on `SIP_PORT`, without TLS. Unset: yes, unless all trunks "
        "use TLS, the profile is `production`, and there is no Kamailio.",
    )
    sip_tls_port: Port | None = Field(None, description="Port of our own Asterisk for SIP over TLS. Unset: none.")
    sip_tls_certificate: Path | None = Field(
        None, description="PEM file with the certificate of our own Asterisk and its intermediate certificates."
    )
    sip_tls_key: Path | None = Field(
        None, description="PEM file with the private key of that certificate. Only its owner may be able to read it."
    )
    sip_tls_ca: Path = Field(
        Path("/etc/ssl/certs/ca-certificates.crt"),
        description="PEM file with the CAs that are trusted. One of them must have signed the carrier's certificate.",
    )
    sip_tls_client_certificate: bool = Field(
        False, description="Whether a peer that connects over TLS must show a certificate from such a CA too."
    )
    kamailio_host: Address | None = Field(
        None,
        description="Address on which Kamailio speaks SIP with the carriers and the nodes. If it is set, calls to "
        "rented numbers reach Asterisk through Kamailio alone, which checks the carriers' addresses. Unset: no "
        "Kamailio.",
        examples=["192.0.2.5"],
    )
    kamailio_port: Port = Field(5060, description="SIP port of Kamailio, UDP and TCP.")
    kamailio_tls_port: Port | None = Field(
        None,
        description="Port of Kamailio for SIP over TLS with the carriers. Certificate, key and CAs are those that "
        "`SIP_TLS_CERTIFICATE`, `SIP_TLS_KEY`, `SIP_TLS_CA` and `SIP_TLS_CLIENT_CERTIFICATE` name, on Kamailio's "
        "machine. Unset: none.",
    )
    nodes: list[AddressAndPort] = Field(
        [],
        max_length=100,
        description="Addresses and SIP ports of the Asterisks among which Kamailio spreads the calls.",
        examples=['["192.0.2.21:5060", "192.0.2.22:5060"]'],
    )
    external_address: Host | None = Field(
        None,
        description="Our address as the carriers see it, where a router translates addresses (NAT): an IP address, or "
        "a name whose address may change (dynamic DNS). Our own Asterisk gives it for SIP and for sound (RTP). "
        "Unset: no translation.",
        examples=["203.0.113.7", "pbx.example.org"],
    )
    local_networks: list[Network] = Field(
        list(PRIVATE),
        min_length=1,
        max_length=100,
        description="Addresses or networks on our side of that router, to which `EXTERNAL_ADDRESS` is not given. The "
        "default: the private networks and this machine.",
        examples=['["192.168.1.0/24"]'],
    )
    browser_phone: bool | None = Field(
        None,
        description="Whether the API serves the page `/phone` to browsers on this machine: a caller and a hidden "
        "telephone to try calls with, over our own Asterisk. Unset: only in the profile `demo`.",
    )
    browser_phone_port: Port = Field(
        8088, description="Port of our own Asterisk on 127.0.0.1 to which the engine passes that page's SIP messages."
    )
    rtp_start: Port = Field(10000, description="First UDP port of our own Asterisk for sound (RTP).")
    rtp_end: Port = Field(10999, description="Last UDP port of our own Asterisk for sound (RTP).")
    trunk_uri: str = Field(
        "sip:127.0.0.1:5090",
        pattern=SIP_URI,
        description="SIP address of the carrier to which calls to hidden numbers are sent. It describes the only "
        "trunk, unless `TRUNKS` is set.",
        examples=["sip:sbc.carrier.example:5060", "sip:192.0.2.10;transport=tcp"],
    )
    media_encryption: MediaEncryption = Field(
        MediaEncryption.NONE,
        description="`none`, `optional` or `sdes`: whether sound between the carrier and Asterisk is encrypted (SRTP). "
        "With `optional`, the sound of a call to a rented number is encrypted if the carrier offers that first. With "
        "`sdes`, calls without encryption are refused in both directions.",
    )
    carrier_addresses: list[Network] = Field(
        ["127.0.0.1"],
        min_length=1,
        description="Addresses or networks from which the carrier sends calls to rented numbers.",
        examples=['["192.0.2.10", "198.51.100.0/28"]'],
    )

    trunks: list[TrunkSettings] = Field(
        [],
        max_length=MAX_TRUNKS,
        description="The trunks, in the order in which they are tried. Empty: one trunk, from `TRUNK_URI`, "
        "`CARRIER_ADDRESSES` and `MEDIA_ENCRYPTION`. The fields of a trunk are listed below.",
        examples=['[{"name": "main", "uri": "sip:sbc.carrier.example:5060"}]'],
    )

    @property
    def most_calls(self) -> int:
        """How many calls our own Asterisk carries at once."""
        return (self.rtp_end - self.rtp_start + 1) // PORTS_PER_CALL

    @property
    def trunks_in_use(self) -> tuple[TrunkSettings, ...]:
        """The trunks, in the order in which they are tried: at least one."""
        if self.trunks:
            return tuple(self.trunks)
        return (
            TrunkSettings(
                name=ONLY_TRUNK,
                uri=self.trunk_uri,
                addresses=self.carrier_addresses,
                media_encryption=self.media_encryption,
            ),
        )

    @property
    def trunk_over_tls(self) -> bool:
        """Whether calls to hidden numbers are sent over TLS on any trunk."""
        return any(trunk.over_tls for trunk in self.trunks_in_use)

    @property
    def agi_peers(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """Networks from which FastAGI requests are accepted."""
        return [ipaddress.ip_network(peer) for peer in self.fastagi_peers or LOOPBACK]

    @property
    def engines(self) -> list[str]:
        """Where Asterisk reaches the engines, in the order in which it asks them: at least one."""
        return self.fastagi_engines or [f"{reachable(self.fastagi_host)}:{self.fastagi_port}"]

    @property
    def engine_seconds(self) -> float:
        """How long Asterisk waits for each engine."""
        return ENGINES_SECONDS / len(self.engines)

    @property
    def call_deadline_seconds(self) -> float:
        """The engine decides on a call within this time, or gives it up."""
        return CALL_DEADLINE_SECONDS / len(self.engines)
