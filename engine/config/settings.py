"""Every setting, with its default. Sources: environment (`RENTED_NUMBERS_…`) over `rented-numbers.toml` over these.

Durations are seconds (`3.5`) or ISO 8601 (`P7D`, `PT30S`). Nested ones join with two underscores:
`RENTED_NUMBERS_PLANS__SMALL__SECONDS=60`. Secrets are not settings, see `engine.secrets`.
"""

import ipaddress
from datetime import timedelta
from pathlib import Path

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from engine.config.checks import (
    Listener,
    refuse_half_of_tls,
    refuse_open_fastagi,
    refuse_rtp_range,
    refuse_shared_ports,
    refuse_short,
)
from engine.config.sources import PREFIX, Environment, TomlFile
from engine.config.types import (
    LOOPBACK,
    Address,
    Country,
    Duration,
    Host,
    MediaEncryption,
    Network,
    PlansSettings,
    Port,
    Prefix,
    Profile,
)
from engine.domain.destinations import DEFAULT_TYPES, PREMIUM_PREFIXES, NumberType
from engine.domain.policy import MAX_CALLS_PER_CALLER_PER_HOUR, MAX_CONCURRENT_CALLS

CONFIG_FILE = "rented-numbers.toml"


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
        toml_file=CONFIG_FILE,
        extra="forbid",
        frozen=True,
    )

    profile: Profile = Field(Profile.PRODUCTION, description="`demo` or `production`; `make run` uses `demo`")
    data_dir: Path = Field(Path("var"), description="everything that is kept: database, secrets, Asterisk's files")
    log_level: str = Field(
        "info",
        pattern="^(debug|info|warning|error)$",
        description="debug, info, warning or error",
        examples=["debug", "info", "warning", "error"],
    )

    http_host: Host = Field("127.0.0.1", description="address of the HTTP API")
    http_port: Port = Field(8080, description="port of the HTTP API")
    http_proxies: list[Network] = Field(
        [],
        max_length=100,
        description="addresses or networks of proxies whose X-Forwarded-For is believed",
        examples=['["127.0.0.1"]'],
    )
    fastagi_host: Host = Field("127.0.0.1", description="address where Asterisk asks about calls")
    fastagi_port: Port = Field(4573, description="port where Asterisk asks about calls")
    fastagi_peers: list[Network] | None = Field(
        None,
        min_length=1,
        description="addresses or networks of the Asterisks that may ask; unset: this machine, where no other can",
        examples=['["192.0.2.20"]'],
    )
    ami_host: Host = Field("127.0.0.1", description="address of Asterisk's manager interface")
    ami_port: Port = Field(5038, description="port of Asterisk's manager interface")
    ami_user: str = Field(
        "rented-numbers",
        pattern="^[a-z][a-z0-9-]{0,30}$",
        description="user of Asterisk's manager interface",
        examples=["rented-numbers"],
    )
    ami_permit: list[Network] = Field(
        ["127.0.0.1", "::1"],
        min_length=1,
        description="addresses or networks from which the engine reaches Asterisk's manager interface",
        examples=['["192.0.2.7"]'],
    )
    manage_asterisk: bool = Field(True, description="`run` starts and stops an Asterisk of its own")
    sip_host: Address = Field("127.0.0.1", description="address where our own Asterisk speaks SIP and RTP")
    sip_port: Port = Field(5060, description="SIP port of our own Asterisk, UDP and TCP")
    sip_plain: bool | None = Field(
        None, description="our own Asterisk listens on `SIP_PORT`; unset: unless calls leave over TLS, and in the demo"
    )
    sip_tls_port: Port | None = Field(None, description="port of our own Asterisk for SIP over TLS; unset: none")
    sip_tls_certificate: Path | None = Field(
        None, description="PEM file of the certificate that our own Asterisk shows, with those that lead to its CA"
    )
    sip_tls_key: Path | None = Field(None, description="PEM file of the certificate's key, readable by its owner only")
    sip_tls_ca: Path = Field(
        Path("/etc/ssl/certs/ca-certificates.crt"),
        description="PEM file of the CAs of which one must have signed the carrier's certificate",
    )
    sip_tls_client_certificate: bool = Field(
        False, description="who connects over TLS must show a certificate of such a CA as well"
    )
    rtp_start: Port = Field(10000, description="first UDP port of our own Asterisk for sound")
    rtp_end: Port = Field(10999, description="last UDP port of our own Asterisk for sound")
    trunk_uri: str = Field(
        "sip:127.0.0.1:5090",
        pattern=r"^sips?:[A-Za-z0-9.:\[\]-]+(;transport=(udp|tcp|tls))?$",
        description="where calls to hidden numbers leave to: the carrier's SIP address",
        examples=["sip:sbc.carrier.example:5060", "sip:192.0.2.10;transport=tcp"],
    )
    media_encryption: MediaEncryption = Field(
        MediaEncryption.NONE,
        description="`none`, or `sdes`: sound from and to the carrier is SRTP, and a call without is refused",
    )
    carrier_addresses: list[Network] = Field(
        ["127.0.0.1"],
        min_length=1,
        description="addresses or networks from which calls to rented numbers come",
        examples=['["192.0.2.10", "198.51.100.0/28"]'],
    )

    plans: PlansSettings = Field(
        PlansSettings(), description="the usage plans", examples=['{"small": {"seconds": 60, "calls": 2}}']
    )
    grace: Duration = Field(timedelta(days=7), description="how long an expired booking can be revived by PUT")
    quarantine: Duration = Field(
        timedelta(days=30), description="how long a number that lost its booking is given to nobody"
    )
    cdr_retention: Duration = Field(
        timedelta(days=180), description="how long a call record is kept, and what else is known of its call"
    )
    callback_retention: Duration = Field(
        timedelta(days=30),
        description="how long a callback is kept, with its log, that was delivered, given up or held",
    )
    longest_call: Duration = Field(timedelta(hours=4), description="no call is let through for longer than this")
    max_concurrent_calls: int = Field(
        10,
        ge=1,
        le=MAX_CONCURRENT_CALLS,
        description="calls at once on a booking that sets no limit of its own; ringing ones count",
    )
    max_bookings_per_account: int = Field(
        1_000, ge=1, le=10_000_000, description="bookings that an account may hold, those in their grace too"
    )
    requests_per_minute: int = Field(
        600, ge=1, le=1_000_000, description="requests to the API that an account may send, at once or within a minute"
    )
    max_calls_per_caller_per_hour: int = Field(
        60,
        ge=1,
        le=MAX_CALLS_PER_CALLER_PER_HOUR,
        description="calls of one caller within an hour on a booking that sets no limit of its own",
    )
    destination_countries: list[Country] | None = Field(
        None,
        min_length=1,
        description="countries (ISO 3166, such as `BE`) whose numbers may be hidden; unset: all",
        examples=['["BE", "FR", "NL"]'],
    )
    destination_types: list[NumberType] = Field(
        sorted(DEFAULT_TYPES),
        min_length=1,
        description="kinds of numbers that may be hidden; also known: "
        + ", ".join(f"`{each}`" for each in NumberType if each not in DEFAULT_TYPES),
        examples=['["mobile", "fixed_line", "uan"]'],
    )
    destination_denied_prefixes: list[Prefix] = Field(
        list(PREMIUM_PREFIXES),
        description="beginnings of numbers that may not be hidden: satellites, shared cost, premium rate",
        examples=['["+881", "+3290"]'],
    )
    ring_timeout: Duration = Field(timedelta(seconds=30), description="how long the hidden number rings")
    renewal_horizon: Duration = Field(
        timedelta(days=3650), description="no booking can be renewed to end further ahead than this"
    )
    lost_call_margin: Duration = Field(
        timedelta(seconds=60),
        description="a call whose end nobody reports is settled so long after the latest that it can have ended",
    )
    sweep_interval: Duration = Field(timedelta(seconds=10), description="how often expired things are cleaned up")
    reconcile_interval: Duration = Field(
        timedelta(seconds=5), description="how often the calls in the books are compared with those in Asterisk"
    )
    rtp_timeout: Duration = Field(
        timedelta(seconds=30), description="a call from which no sound has come for so long is ended (whole seconds)"
    )
    journal_dir: Path | None = Field(
        None, description="where ends of calls wait that found no engine; unset: `journal` in `data_dir`"
    )
    expired_announcement: str = Field(
        "",
        pattern="^[A-Za-z0-9/_-]*$",
        description="a sound file of Asterisk, played before the 410 to callers of an expired booking",
        examples=["custom/expired"],
    )

    call_deadline: Duration = Field(
        timedelta(seconds=2), description="a call that is not decided within this time gets 503"
    )
    max_undecided_calls: int | None = Field(
        None, ge=1, le=100_000, description="so many calls may wait for a decision, others get 503; unset: 16 a core"
    )
    callback_timeout: Duration = Field(timedelta(seconds=15), description="a receiver must have answered by then")
    callback_retries: list[Duration] = Field(
        [timedelta(seconds=s) for s in (5, 300, 1800, 7200, 18000, 36000, 36000)],
        max_length=20,
        description="the waits between the attempts to deliver a callback, each with up to 10 % of jitter",
        examples=['["PT5S", "PT5M", "PT1H"]'],
    )
    callback_disable_after: Duration = Field(
        timedelta(days=5), description="an endpoint whose tries have all failed for so long is disabled"
    )
    callback_workers: int = Field(16, ge=1, le=256, description="how many callbacks are under way at once")
    expired_callbacks: int = Field(
        10,
        ge=1,
        le=10_000,
        description="callbacks about calls to one expired booking within `EXPIRED_CALLBACKS_WINDOW`",
    )
    expired_callbacks_window: Duration = Field(
        timedelta(hours=1), description="for how long calls to an expired booking are counted before it begins anew"
    )
    expiring_soon: Duration = Field(
        timedelta(hours=24), description="how long before its end `booking.expiring_soon` is told of a booking"
    )
    low_seconds: Duration = Field(
        timedelta(seconds=60), description="`booking.low_seconds` is told when less than this is left (whole seconds)"
    )
    callback_hosts_private: bool | None = Field(
        None,
        description="callbacks may go to loopback, to any port and over plain HTTP; unset: only in the demo profile",
    )
    callback_ports: list[Port] = Field(
        [443, 8443],
        min_length=1,
        max_length=20,
        description="ports to which callbacks may go",
        examples=["[443, 8443]"],
    )

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        self._refuse_short_durations()
        refuse_open_fastagi(self.fastagi_host, self.fastagi_peers)
        refuse_rtp_range(self.rtp_start, self.rtp_end, sip_port=self.sip_port if self.manage_asterisk else None)
        refuse_shared_ports(self._listeners())
        refuse_half_of_tls(
            media_encryption=self.media_encryption,
            trunk_over_tls=self.trunk_over_tls,
            plain_sip=self.plain_sip,
            manage_asterisk=self.manage_asterisk,
            tls_port=self.sip_tls_port,
            has_certificate=self.sip_tls_certificate is not None and self.sip_tls_key is not None,
        )
        return self

    def _refuse_short_durations(self) -> None:
        refuse_short(
            [
                ("longest_call", self.longest_call),
                ("ring_timeout", self.ring_timeout),
                ("low_seconds", self.low_seconds),
                ("expired_callbacks_window", self.expired_callbacks_window),
            ],
            timedelta(seconds=1),
            "",
        )
        refuse_short(
            [("cdr_retention", self.cdr_retention)],
            timedelta(hours=1),
            ": a caller's calls within the last hour are counted",
        )

    def _listeners(self) -> list[Listener]:
        listeners = [
            Listener("http_port", self.http_host, self.http_port),
            Listener("fastagi_port", self.fastagi_host, self.fastagi_port),
        ]
        if self.manage_asterisk:
            listeners += [
                Listener("ami_port", self.ami_host, self.ami_port),
                Listener("sip_port", self.sip_host, self.sip_port),
            ]
            if self.sip_tls_port is not None:
                listeners.append(Listener("sip_tls_port", self.sip_host, self.sip_tls_port))
        return listeners

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, Environment(settings_cls), TomlFile(settings_cls)

    @property
    def database(self) -> Path:
        return self.data_dir / "rented-numbers.sqlite3"

    @property
    def security_log(self) -> Path:
        return self.data_dir / "security.log"

    @property
    def agi_peers(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """Who may ask about calls."""
        return [ipaddress.ip_network(peer) for peer in self.fastagi_peers or LOOPBACK]

    @property
    def journal(self) -> Path:
        return (self.journal_dir or self.data_dir / "journal").absolute()

    @property
    def trunk_over_tls(self) -> bool:
        return self.trunk_uri.startswith("sips:") or self.trunk_uri.endswith(";transport=tls")

    @property
    def plain_sip(self) -> bool:
        """Whether SIP without TLS is spoken at all."""
        if self.sip_plain is None:
            return self.profile is Profile.DEMO or not self.trunk_over_tls
        return self.sip_plain

    @property
    def allow_private_callbacks(self) -> bool:
        if self.callback_hosts_private is None:
            return self.profile is Profile.DEMO
        return self.callback_hosts_private
