"""Which numbers may be hidden, which rule refuses the others, and what a refusal reveals."""

import traceback

import pytest

from engine.asterisk.softphones import SOFTPHONES
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.domain.destinations import (
    COUNTRIES,
    DEFAULT_DESTINATIONS,
    DEFAULT_TYPES,
    PREMIUM_PREFIXES,
    AllowedDestinations,
    DestinationRule,
    NumberType,
    allowed_destination,
)
from engine.domain.errors import DestinationNotAllowed, InvalidDestination
from engine.domain.numbers import E164
from engine.domain.rejections import Reason
from engine.domain.routing import Facts, judge
from engine.local.demo import POOL
from tests.contract.samples import POLICY, START, a_booking
from tests.unit.test_numbers import ARABIC, MALFORMED

ORDINARY = {
    "mobile": "+32470123456",
    "fixed line": "+3225551234",
    "fixed line abroad": "+442079460958",
    "either": "+14155550123",
    "VoIP": "+445612345678",
    "kept free for fiction": "+33199001234",
}
BY_TYPE = {
    "premium rate, Belgium": "+3290012345",
    "premium rate, United States": "+19005551234",
    "shared cost": "+491803123456",
    "toll free": "+448001234567",
    "universal toll free": "+80012345678",
    "pager": "+447640123456",
    "personal number": "+447012345678",
    "company number, Belgium": "+3278150000",
    "company number, United Kingdom": "+443001234567",
}
BY_PREFIX = {
    "international premium rate": "+979123456789",
    "international shared cost": "+80812345678",
    "satellite, Inmarsat": "+870773111632",
    "satellite, Iridium": "+881612345678",
    "universal personal number": "+878101234567890",
    "international network 882": "+882161234567",
    "international network 883": "+883510000000000",
}
NOWHERE = {
    "not in the numbering plan": "+3211000",
    "too long for its country": "+3247012345678",
    "no such country": "+999123456789",
    "emergency": "+112",
    "emergency with a country code": "+32112",
    "a short code with a country code": "+331987654",
}


def a_type_of_each() -> list[tuple[NumberType, str]]:
    return [
        (NumberType.FIXED_LINE, "+3225551234"),
        (NumberType.MOBILE, "+32470123456"),
        (NumberType.FIXED_LINE_OR_MOBILE, "+14155550123"),
        (NumberType.VOIP, "+445612345678"),
        (NumberType.PREMIUM_RATE, "+3290012345"),
        (NumberType.SHARED_COST, "+491803123456"),
        (NumberType.TOLL_FREE, "+448001234567"),
        (NumberType.PAGER, "+447640123456"),
        (NumberType.PERSONAL_NUMBER, "+447012345678"),
        (NumberType.UAN, "+443001234567"),
    ]


@pytest.mark.parametrize("number", ORDINARY.values(), ids=ORDINARY)
def test_ordinary_numbers_may_be_hidden(number: E164) -> None:
    assert allowed_destination(number, DEFAULT_DESTINATIONS) == number


def test_every_number_of_the_demo_may_be_hidden() -> None:
    numbers = {*POOL, *(phone.number for phone in SOFTPHONES), *(phone.rented for phone in SOFTPHONES)}
    assert [each for each in sorted(numbers) if DEFAULT_DESTINATIONS.broken_rule(each)] == []


@pytest.mark.parametrize("number", BY_TYPE.values(), ids=BY_TYPE)
def test_numbers_of_expensive_types_are_refused_by_type(number: E164) -> None:
    assert DEFAULT_DESTINATIONS.broken_rule(number) is DestinationRule.TYPE
    with pytest.raises(DestinationNotAllowed, match="type"):
        allowed_destination(number, DEFAULT_DESTINATIONS)


@pytest.mark.parametrize("number", BY_PREFIX.values(), ids=BY_PREFIX)
def test_satellite_and_international_service_numbers_are_refused_by_prefix(number: E164) -> None:
    assert DEFAULT_DESTINATIONS.broken_rule(number) is DestinationRule.PREFIX
    with pytest.raises(DestinationNotAllowed, match="prefix"):
        allowed_destination(number, DEFAULT_DESTINATIONS)


@pytest.mark.parametrize("number", NOWHERE.values(), ids=NOWHERE)
def test_a_number_in_no_numbering_plan_is_refused_whatever_is_allowed(number: E164) -> None:
    everything = AllowedDestinations(types=frozenset(NumberType), denied_prefixes=())
    with pytest.raises(InvalidDestination):
        allowed_destination(number, everything)
    assert everything.broken_rule(number) is DestinationRule.TYPE


@pytest.mark.parametrize("text", MALFORMED)
def test_a_destination_must_be_e164(text: E164) -> None:
    with pytest.raises(InvalidDestination):
        allowed_destination(text, DEFAULT_DESTINATIONS)


@pytest.mark.parametrize(
    "text", [*BY_TYPE.values(), *BY_PREFIX.values(), *NOWHERE.values(), "+32470123456\n", "32470123456", ARABIC]
)
def test_a_refusal_never_contains_the_number(text: E164) -> None:
    with pytest.raises((InvalidDestination, DestinationNotAllowed)) as refused:
        allowed_destination(text, DEFAULT_DESTINATIONS)
    text_of_error = "".join(traceback.format_exception(refused.value)) + repr(refused.value.__dict__)
    assert text.strip().lstrip("+") not in text_of_error
    assert text[-7:].strip() not in text_of_error


@pytest.mark.parametrize(("number_type", "number"), a_type_of_each())
def test_only_allowed_types_pass(number_type: NumberType, number: str) -> None:
    assert AllowedDestinations(types=frozenset({number_type})).broken_rule(number) is None
    others = frozenset(NumberType) - {number_type}
    assert AllowedDestinations(types=others).broken_rule(number) is DestinationRule.TYPE


def test_only_allowed_countries_pass() -> None:
    belgium = AllowedDestinations(countries=frozenset({"BE"}))
    assert belgium.broken_rule("+32470123456") is None
    assert belgium.broken_rule("+33199001234") is DestinationRule.COUNTRY


def test_countries_that_share_a_prefix_are_distinguished() -> None:
    """The islands of +1 are expensive to call and look like the United States."""
    states = AllowedDestinations(countries=frozenset({"US"}))
    assert states.broken_rule("+14155550123") is None
    assert states.broken_rule("+18765551234") is DestinationRule.COUNTRY  # Jamaica
    assert states.broken_rule("+14165551234") is DestinationRule.COUNTRY  # Canada


def test_numbers_of_no_country_pass_no_country_list() -> None:
    everywhere = AllowedDestinations(countries=frozenset(COUNTRIES), types=frozenset(NumberType), denied_prefixes=())
    assert everywhere.broken_rule("+883510000000000") is DestinationRule.COUNTRY


def test_a_denied_prefix_may_end_at_any_digit() -> None:
    allowed = AllowedDestinations(denied_prefixes=("+3247",))
    assert allowed.broken_rule("+32470123456") is DestinationRule.PREFIX
    assert allowed.broken_rule("+32480123456") is None


def test_a_destination_that_is_no_longer_allowed_is_refused_at_the_call_too() -> None:
    assert judge(Facts(a_booking(), share=60), START, POLICY) is Reason.PUT_THROUGH
    assert judge(Facts(a_booking(destination="+3290012345")), START, POLICY) is Reason.DESTINATION_NOT_ALLOWED


def test_the_rules_follow_the_settings() -> None:
    assert policy_of(Settings()).destinations == DEFAULT_DESTINATIONS
    chosen = Settings(
        destination_countries=["BE", "FR"],
        destination_types=[NumberType.MOBILE],
        destination_denied_prefixes=["+32470"],
    )
    assert policy_of(chosen).destinations == AllowedDestinations(
        frozenset({"BE", "FR"}), frozenset({NumberType.MOBILE}), ("+32470",)
    )
    assert Settings().destination_denied_prefixes == list(PREMIUM_PREFIXES)
    assert set(Settings().destination_types) == DEFAULT_TYPES


@pytest.mark.parametrize(
    "wrong",
    [
        {"destination_countries": []},
        {"destination_countries": ["be"]},
        {"destination_countries": ["Belgium"]},
        {"destination_countries": ["001"]},
        {"destination_types": []},
        {"destination_types": ["satellite"]},
        {"destination_denied_prefixes": ["881"]},
        {"destination_denied_prefixes": ["+0"]},
        {"destination_denied_prefixes": ["+"]},
        {"destination_denied_prefixes": ["+32\n"]},
    ],
    ids=str,
)
def test_meaningless_destination_settings_are_refused(wrong: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Settings.model_validate(wrong)
