"""Every setting, with its default and the description that operators read.

The environment (`RENTED_NUMBERS_…`) overrides `rented-numbers.toml`, which overrides the defaults. Durations are
seconds (`3.5`) or ISO 8601 (`P7D`, `PT30S`). Names of nested settings join with two underscores:
`RENTED_NUMBERS_PLANS__SMALL__SECONDS=60`. Secrets are not settings, see engine.config.secrets. Figures that no
operator changes are in engine.config.tuning.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from pydantic import Field, PrivateAttr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from engine.config.account_settings import AccountSettings
from engine.config.checks import Listener, refuse_open_fastagi, refuse_rtp_range, refuse_shared_ports, refuse_short
from engine.config.database_settings import DatabaseSettings
from engine.config.sources import PREFIX, Environment, TomlFile
from engine.config.trunk_checks import refuse_unusable_trunks
from engine.config.tuning import Tuning, read_tuning
from engine.config.types import (
    Country,
    Duration,
    Host,
    MetricsAddress,
    Network,
    PlansSettings,
    Port,
    Prefix,
    Profile,
    reachable,
)
from engine.domain.destinations import DEFAULT_TYPES, PREMIUM_PREFIXES, NumberType
from engine.domain.money import CURRENCY
from engine.domain.policy import ANONYMOUS_CALLERS, MAX_CALLS_PER_CALLER_PER_HOUR, MAX_CONCURRENT_CALLS
from engine.domain.prompts import Language


class Settings(DatabaseSettings, AccountSettings):
    """What an operator may choose. Invalid values and combinations are refused with pydantic's ValidationError.

    Descriptions are read by operators: each is one or more whole sentences or noun phrases with a full stop.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
        extra="forbid",
        frozen=True,
    )

    profile: Profile = Field(
        Profile.PRODUCTION,
        description="`demo` or `production`. `demo` makes an account, numbers and softphones at the first start.",
    )
    log_level: str = Field(
        "info",
        pattern="^(debug|info|warning|error)$",
        description="Least severe level that is logged: `debug`, `info`, `warning` or `error`.",
        examples=["debug", "info", "warning", "error"],
    )

    http_host: Host = Field("127.0.0.1", description="Address on which the HTTP API listens.")
    http_port: Port = Field(8080, description="Port of the HTTP API.")
    http_proxies: list[Network] = Field(
        [],
        max_length=100,
        description="Addresses or networks of the reverse proxies whose X-Forwarded-For is trusted.",
        examples=['["127.0.0.1"]'],
    )
    metrics_address: MetricsAddress = Field(
        "127.0.0.1:9464",
        description="Address and port of the metrics for Prometheus (`GET /metrics`), which everybody who reaches them "
        "may read. Empty: none.",
        examples=["127.0.0.1:9464", "[::1]:9464"],
    )
    plans: PlansSettings = Field(
        PlansSettings(), description="The usage plans.", examples=['{"small": {"seconds": 60, "calls": 2}}']
    )
    currency: str = Field(
        "EUR",
        pattern=f"^{CURRENCY.pattern}$",
        description="Currency of the plans' prices (ISO 4217).",
        examples=["EUR"],
    )
    grace: Duration = Field(
        timedelta(days=7), description="Time after its expiry in which a booking can be renewed with PUT."
    )
    quarantine: Duration = Field(
        timedelta(days=30),
        description="Time in which a number is not given out again after its booking is gone.",
    )
    quarantine_silence: Duration = Field(
        timedelta(days=14),
        description="Time in which nobody must have called a number before its quarantine ends. Each call to it makes "
        "its quarantine last at least so long from then on.",
    )
    cdr_retention: Duration = Field(
        timedelta(days=180),
        description="Time for which a call record, and everything else about its call, is kept.",
    )
    callback_retention: Duration = Field(
        timedelta(days=30),
        description="Time for which a callback and its delivery log are kept after it was delivered, given up or held.",
    )
    longest_call: Duration = Field(timedelta(hours=4), description="Greatest length of a call.")
    max_concurrent_calls: int = Field(
        10,
        ge=1,
        le=MAX_CONCURRENT_CALLS,
        description="Calls at the same time, ringing ones included, for a booking that has no limit of its own.",
    )
    local_numbers: bool = Field(
        True,
        description="Whether a booking that asks for no particular number gets one of its destination's country, where "
        "one is free.",
    )
    max_calls_per_caller_per_hour: int = Field(
        60,
        ge=1,
        le=MAX_CALLS_PER_CALLER_PER_HOUR,
        description="Calls of one caller within an hour, for a booking that has no limit of its own.",
    )
    max_ringing_calls_per_caller: int = Field(
        1,
        ge=1,
        le=MAX_CONCURRENT_CALLS,
        description="Calls of one caller that may ring on one booking at the same time. All callers without a number "
        f"together may have {ANONYMOUS_CALLERS} times as many.",
    )
    destination_countries: list[Country] | None = Field(
        None,
        min_length=1,
        description="Countries (ISO 3166, such as `BE`) whose numbers may be hidden. Unset: all.",
        examples=['["BE", "FR", "NL"]'],
    )
    destination_types: list[NumberType] = Field(
        sorted(DEFAULT_TYPES),
        min_length=1,
        description="Kinds of numbers that may be hidden. Other kinds: "
        + ", ".join(f"`{each}`" for each in NumberType if each not in DEFAULT_TYPES)
        + ".",
        examples=['["mobile", "fixed_line", "uan"]'],
    )
    destination_denied_prefixes: list[Prefix] = Field(
        list(PREMIUM_PREFIXES),
        description="Prefixes of numbers that must not be hidden. The default: satellite, shared cost, premium rate.",
        examples=['["+881", "+3290"]'],
    )
    ring_timeout: Duration = Field(timedelta(seconds=30), description="Time for which the hidden number rings.")
    rtp_timeout: Duration = Field(
        timedelta(seconds=30),
        description="Time after which a call is ended if neither sound (RTP) nor reports about it (RTCP) arrive from "
        "one side. Fractions of a second are cut off.",
    )
    rtp_hold_timeout: Duration = Field(
        timedelta(minutes=30),
        description="The same while the silent side has the other on hold (`a=sendonly`, `a=inactive`, or the address "
        "0.0.0.0). If a BYE is lost during a hold, the call is charged until then.",
    )
    journal_dir: Path | None = Field(
        None,
        description="Directory where Asterisk writes the end of each call, into the file `ends`. "
        "Unset: `journal` in `DATA_DIR`.",
    )
    voice: bool | None = Field(
        None,
        description="Whether something is spoken in calls: a refused caller hears why, before the SIP answer and free "
        "of charge; bookings can have `whisper`, `screening` and `greeting`, and pairs can have `pins`. "
        "Unset: only in the profile `demo`.",
    )
    language: Language = Field(
        Language.EN,
        description="Language of what is spoken in calls, for a booking that has none of its own: "
        + ", ".join(f"`{each}`" for each in Language)
        + ".",
        examples=["en", "fr", "nl", "de"],
    )

    expiring_soon: Duration = Field(
        timedelta(hours=24), description="Time before a booking's end at which `booking.expiring_soon` is sent."
    )
    low_seconds: Duration = Field(
        timedelta(seconds=60),
        description="`booking.low_seconds` is sent when a booking has less than this left. Fractions of a second are "
        "cut off.",
    )
    callback_hosts_private: bool | None = Field(
        None,
        description="Whether callbacks may go to this machine (loopback), to any port and over plain HTTP. "
        "Unset: only in the profile `demo`.",
    )
    callback_ports: list[Port] = Field(
        [443, 8443],
        min_length=1,
        max_length=20,
        description="Ports to which callbacks may go.",
        examples=["[443, 8443]"],
    )

    _tuning: Tuning = PrivateAttr(default_factory=read_tuning)

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        self._refuse_short_durations()
        refuse_open_fastagi(self.fastagi_host, self.fastagi_peers)
        refuse_rtp_range(self.rtp_start, self.rtp_end, sip_port=self.sip_port if self.manage_asterisk else None)
        refuse_shared_ports(list(self._listeners()))
        refuse_unusable_trunks(self, plain_sip=lambda: self.plain_sip)
        return self

    def _refuse_short_durations(self) -> None:
        refuse_short(
            [
                ("longest_call", self.longest_call),
                ("ring_timeout", self.ring_timeout),
                ("rtp_timeout", self.rtp_timeout),
                ("rtp_hold_timeout", self.rtp_hold_timeout),
                ("low_seconds", self.low_seconds),
            ],
            timedelta(seconds=1),
        )
        refuse_short(
            [("cdr_retention", self.cdr_retention)],
            timedelta(hours=1),
            "the limit of calls per caller and hour counts them",
        )

    def _listeners(self) -> Iterator[Listener]:
        yield Listener("http_port", self.http_host, self.http_port)
        yield Listener("fastagi_port", self.fastagi_host, self.fastagi_port)
        if self.metrics_listener is not None:
            yield Listener("metrics_address", *self.metrics_listener)
        if self.manage_asterisk:
            yield Listener("ami_port", self.ami_host, self.ami_port)
            yield Listener("sip_port", self.sip_host, self.sip_port)
            if self.sip_tls_port is not None:
                yield Listener("sip_tls_port", self.sip_host, self.sip_tls_port)
        if self.has_browser_phone:
            yield Listener("browser_phone_port", "127.0.0.1", self.browser_phone_port)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Returns the sources in order of precedence, see pydantic-settings."""
        return init_settings, Environment(settings_cls), TomlFile(settings_cls)

    @property
    def tuning(self) -> Tuning:
        """The figures that only tests change; read from the environment together with the settings."""
        return self._tuning

    @property
    def security_log(self) -> Path:
        """The file with failed authentications, which fail2ban reads."""
        return self.data_dir / "security.log"

    @property
    def security_listeners(self) -> dict[str, tuple[str, int]]:
        """Host and port of each service that writes into the security log."""
        http = self.http_host, self.http_port
        return {"HTTP": http, "Console": http, "Portal": http, "AGI": (self.fastagi_host, self.fastagi_port)}

    @property
    def http_url(self) -> str:
        """The URL at which the API can be reached from this machine."""
        return f"http://{reachable(self.http_host)}:{self.http_port}"

    @property
    def metrics_listener(self) -> tuple[str, int] | None:
        """Host and port of the metrics; None if there are none."""
        host, _, port = self.metrics_address.rpartition(":")
        return (host.strip("[]"), int(port)) if port else None

    @property
    def journal(self) -> Path:
        """Absolute path of the end spool."""
        return (self.journal_dir or self.data_dir / "journal").absolute()

    @property
    def speaks(self) -> bool:
        """Whether something is spoken in calls, see `voice`."""
        return self.profile is Profile.DEMO if self.voice is None else self.voice

    @property
    def plain_sip(self) -> bool:
        """Whether our own Asterisk listens for SIP without TLS."""
        if self.sip_plain is None:
            others = self.profile is Profile.DEMO or self.kamailio_host is not None
            return others or not all(trunk.over_tls for trunk in self.trunks_in_use)
        return self.sip_plain

    @property
    def has_browser_phone(self) -> bool:
        """Whether there is the page /phone."""
        wanted = self.profile is Profile.DEMO if self.browser_phone is None else self.browser_phone
        return wanted and self.manage_asterisk

    @property
    def allow_private_callbacks(self) -> bool:
        """Whether callbacks may go to this machine, see `callback_hosts_private`."""
        if self.callback_hosts_private is None:
            return self.profile is Profile.DEMO
        return self.callback_hosts_private
