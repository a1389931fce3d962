"""Settings: environment over file over defaults, and every invalid value is refused."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsError

from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.config.sources import CONFIG_FILE, REMOVED, NoSuchFile, UnknownSetting
from engine.config.tuning import Tuning
from engine.config.types import PlanSettings
from engine.domain.policy import Allowance, UsagePlan
from tests.contract.samples import DAY, HOUR

FULL_PLAN = '{"SMALL": {"seconds": 60, "calls": 1, "valid_for": "P1D"}}'


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings but the test's own, wherever the tests run."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.upper().startswith("RENTED_NUMBERS_")]:
        monkeypatch.delenv(name)


def settings_from(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str] | None = None, toml: str | None = None
) -> Settings:
    for name, value in (environment or {}).items():
        monkeypatch.setenv(f"RENTED_NUMBERS_{name}", value)
    if toml is not None:
        Path(CONFIG_FILE).write_text(toml)
    return Settings()


def small(settings: Settings) -> Allowance:
    return policy_of(settings).plans[UsagePlan.SMALL]


def test_the_defaults_follow_the_contract() -> None:
    policy = policy_of(Settings())
    assert (policy.grace_ms, policy.quarantine_ms, policy.quarantine_silence_ms) == (7 * DAY, 30 * DAY, 14 * DAY)
    assert {str(plan): allowance for plan, allowance in policy.plans.items()} == {
        "SMALL": Allowance(30 * 60, 25, 7 * DAY),
        "MEDIUM": Allowance(120 * 60, 100, 30 * DAY),
        "LARGE": Allowance(600 * 60, 500, 90 * DAY),
    }


@pytest.mark.parametrize("name", ["small", "SMALL"])
@pytest.mark.parametrize(
    ("environment", "toml", "plan"),
    [
        ({"PLANS__SMALL__SECONDS": "60"}, None, Allowance(60, 25, 7 * DAY)),
        ({"PLANS": FULL_PLAN}, None, Allowance(60, 1, DAY)),
        ({}, "[plans.NAME]\nseconds = 60\n", Allowance(60, 25, 7 * DAY)),
        ({"PLANS": FULL_PLAN}, "[plans.NAME]\nseconds = 5\n", Allowance(60, 1, DAY)),
    ],
    ids=["one value", "JSON", "one value in the file", "JSON overrides the file"],
)
def test_a_plan_is_set_whole_or_value_by_value_in_either_case(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], toml: str | None, plan: Allowance, name: str
) -> None:
    named = {key: value.replace("SMALL", name) for key, value in environment.items()}
    settings = settings_from(monkeypatch, named, toml.replace("NAME", name) if toml else None)
    assert small(settings) == plan
    assert policy_of(settings).plans[UsagePlan.LARGE] == Allowance(600 * 60, 500, 90 * DAY)


@pytest.mark.parametrize("name", ["small", "SMALL"])
def test_the_environment_overrides_the_file_value_by_value(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    toml = f"http_port = 8001\nsip_port = 5061\n[plans.{name}]\nseconds = 60\ncalls = 2\nvalid_for = 'P1D'\n"
    settings = settings_from(monkeypatch, {"PLANS__SMALL__SECONDS": "99", "HTTP_PORT": "8002"}, toml)
    assert small(settings) == Allowance(99, 2, DAY)
    assert (settings.http_port, settings.sip_port, settings.ami_port) == (8002, 5061, 5038)


def test_an_argument_overrides_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RENTED_NUMBERS_HTTP_PORT", "8002")
    assert Settings(http_port=8003).http_port == 8003


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("3", 3_000), ("3.5", 3_500), ("0.001", 1), ("P7D", 7 * DAY), ("PT30S", 30_000), ("PT1H", HOUR)],
)
def test_a_duration_is_seconds_or_iso_8601(monkeypatch: pytest.MonkeyPatch, text: str, milliseconds: int) -> None:
    assert policy_of(settings_from(monkeypatch, {"GRACE": text})).grace_ms == milliseconds
    monkeypatch.delenv("RENTED_NUMBERS_GRACE")
    assert policy_of(settings_from(monkeypatch, toml=f"grace = '{text}'\n")).grace_ms == milliseconds
    if not text.startswith("P"):
        assert policy_of(settings_from(monkeypatch, toml=f"grace = {text}\n")).grace_ms == milliseconds


def test_a_setting_that_was_removed_is_refused_with_its_fixed_value(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownSetting, match=r"_SWEEP_INTERVAL is no longer a setting: its value is fixed \(10 s\)"):
        settings_from(monkeypatch, {"SWEEP_INTERVAL": "5"})


def test_no_setting_is_listed_as_removed() -> None:
    assert not set(REMOVED) & set(Settings.model_fields)
    never_settings = {"callback_pace", "beep_before", "trunk_silent", "read_statement"}
    assert set(Tuning.model_fields) - never_settings <= set(REMOVED)


@pytest.mark.parametrize(
    ("engines", "share", "deadline"),
    [([], 3, 2), (["127.0.0.1:4573", "[::1]:4574"], 1.5, 1), (["a.example:1", "b.example:1", "c.example:1"], 1, 2 / 3)],
)
def test_the_dialplan_waits_longer_for_each_engine_than_it_takes_to_decide(
    engines: list[str], share: float, deadline: float
) -> None:
    settings = Settings(fastagi_engines=engines)
    assert settings.engines == (engines or ["127.0.0.1:4573"])
    assert (settings.engine_seconds, settings.call_deadline_seconds) == (share, deadline)


@pytest.mark.parametrize("bad", [["127.0.0.1"], [""], ["a&b:1"], ["::1:4573"], ["a:0"], ["a:1", "b:1", "c:1", "d:1"]])
def test_engines_that_asterisk_cannot_ask_are_refused(bad: list[str]) -> None:
    with pytest.raises(ValidationError):
        Settings(fastagi_engines=bad)


@pytest.mark.parametrize(
    ("environment", "toml"),
    [
        ({"PLANS__SMAL__SECONDS": "60"}, None),
        ({"PLANS__SMALL__SECOND": "60"}, None),
        ({"PLANS": '{"TINY": {"seconds": 60}}'}, None),
        (None, "grase = 3\n"),
        (None, "[plans.small]\nsecond = 3\n"),
        (None, "[plans.tiny]\nseconds = 3\n"),
    ],
)
def test_an_unknown_key_is_refused(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str] | None, toml: str | None
) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        settings_from(monkeypatch, environment, toml)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("GRACE", text) for text in ("0", "-1", "nan", "inf", "1e300", "soon", "", "P-7D")],
        *[("HTTP_PORT", text) for text in ("0", "65536", "-1", "http", "٨٠٨٠", "")],
        *[("METRICS_ADDRESS", text) for text in ("9464", ":9464", "h", "h:", "h:0", "h:65536", "::1:9", "h:9\n")],
        *[("LOG_LEVEL", text) for text in ("INFO", "info\n", "", "trace")],
        *[("TRUNK_URI", text) for text in ("sip:h\n", "sip:h,x", "tel:1", "sip:h;x=1")],
        *[("LANGUAGE", text) for text in ("", "EN", "en_GB", "es", "en\n")],
        *[("PLANS__SMALL__SECONDS", text) for text in ("0", "-1", "1.5", "1000000001", "x")],
        *[("PLANS__SMALL__CALLS", text) for text in ("0", "-1", "1000000001")],
        *[("PLANS__SMALL__VALID_FOR", text) for text in ("0", "-P1D")],
        ("PLANS", "[1]"),
        ("PROFILE", "test"),
        ("LOW_SECONDS", "0.9"),
        ("EXPIRING_SOON", "0"),
        ("CARRIER_ADDRESSES", "[]"),
        ("LONGEST_CALL", "0.9"),
        ("RING_TIMEOUT", "0.9"),
        ("CDR_RETENTION", "PT59M"),
        ("CALLBACK_RETENTION", "0"),
        ("RTP_END", "10009"),
    ],
)
def test_an_invalid_value_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    with pytest.raises(ValidationError):
        settings_from(monkeypatch, {name: value})


@pytest.mark.parametrize(
    ("value", "listener"),
    [
        (None, ("127.0.0.1", 9464)),
        ("", None),
        ("192.0.2.1:9100", ("192.0.2.1", 9100)),
        ("[::1]:9464", ("::1", 9464)),
        ("metrics.internal:9464", ("metrics.internal", 9464)),
    ],
)
def test_metrics_have_an_address_of_their_own_or_none(
    monkeypatch: pytest.MonkeyPatch, value: str | None, listener: tuple[str, int] | None
) -> None:
    chosen = {} if value is None else {"METRICS_ADDRESS": value}
    assert settings_from(monkeypatch, chosen).metrics_listener == listener


def test_broken_json_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="plans"):
        settings_from(monkeypatch, {"PLANS": "{"})


def test_settings_are_immutable() -> None:
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.http_port = 1  # type: ignore[misc]  # that it is refused is what is tested


@pytest.mark.parametrize(
    ("environment", "allowed"),
    [
        ({}, False),
        ({"PROFILE": "demo"}, True),
        ({"PROFILE": "demo", "CALLBACK_HOSTS_PRIVATE": "false"}, False),
        ({"CALLBACK_HOSTS_PRIVATE": "true"}, True),
    ],
)
def test_only_the_demo_allows_callbacks_to_private_hosts_by_default(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], *, allowed: bool
) -> None:
    assert settings_from(monkeypatch, environment).allow_private_callbacks is allowed


def test_every_setting_has_a_description() -> None:
    for name, field in (Settings.model_fields | PlanSettings.model_fields).items():
        assert field.description, name


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_fastagi_on_loopback_accepts_only_this_machine(host: str) -> None:
    peers = Settings.model_validate({"fastagi_host": host}).agi_peers
    assert [str(peer) for peer in peers] == ["127.0.0.0/8", "::1/128"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "agi.test"])  # noqa: S104  refused, not bound
def test_fastagi_on_other_addresses_requires_a_list_of_peers(host: str) -> None:
    with pytest.raises(ValidationError, match="list in fastagi_peers the addresses from which your Asterisks send"):
        Settings.model_validate({"fastagi_host": host})
    peers = Settings.model_validate({"fastagi_host": host, "fastagi_peers": ["192.0.2.20", "2001:db8::/64"]}).agi_peers
    assert [str(peer) for peer in peers] == ["192.0.2.20/32", "2001:db8::/64"]


@pytest.mark.parametrize("peers", [[], ["agi.test"], ["192.0.2.20%a"], ["all"], ""])
def test_an_invalid_list_of_peers_is_refused(peers: object) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"fastagi_peers": peers})


@pytest.mark.parametrize("name", ["RTP_TIMEOUT", "RTP_HOLD_TIMEOUT"])
def test_a_time_of_silence_below_a_second_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Asterisk counts whole seconds, and takes 0 for never."""
    assert getattr(settings_from(monkeypatch, {name: "PT1S"}), name.lower()) == timedelta(seconds=1)
    with pytest.raises(ValidationError, match=name.lower()):
        settings_from(monkeypatch, {name: "PT0.9S"})


@pytest.mark.parametrize(
    ("chosen", "calls"),
    [
        ({}, 100),
        ({"rtp_start": 20_000, "rtp_end": 20_099}, 10),
        ({"rtp_start": 20_000, "rtp_end": 20_010}, 1),
        ({"rtp_start": 20_000, "rtp_end": 29_999, "manage_asterisk": False}, 100),
        ({"calls_at_once": 180}, 180),
    ],
)
def test_an_account_has_half_of_our_own_asterisk_unless_the_operator_decides(
    chosen: dict[str, Any], calls: int
) -> None:
    assert Settings(**chosen).account_limits.calls_at_once == calls


def test_another_file_is_read_if_the_environment_names_it_and_it_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(CONFIG_FILE).write_text("http_port = 8001\n")
    Path("other.toml").write_text("http_port = 8004\n")
    assert settings_from(monkeypatch, {"CONFIG": "other.toml"}).http_port == 8004
    with pytest.raises(NoSuchFile, match=r"RENTED_NUMBERS_CONFIG names gone\.toml"):
        settings_from(monkeypatch, {"CONFIG": "gone.toml"})


@pytest.mark.parametrize(
    ("asserts", "changes", "may"),
    [
        (False, {}, False),
        (True, {}, True),
        # The demo's telephones are known by their passwords.
        (False, {"profile": "demo"}, True),
        # An Asterisk that is not ours may have endpoints that assert who calls.
        (False, {"manage_asterisk": False}, True),
    ],
)
def test_who_calls_is_known_where_a_carrier_asserts_it(asserts: bool, changes: dict[str, object], may: bool) -> None:
    trunk = {"name": "main", "uri": "sip:192.0.2.1", "asserts_identity": asserts}
    assert policy_of(Settings.model_validate({"trunks": [trunk], **changes})).may_assert_callers is may
