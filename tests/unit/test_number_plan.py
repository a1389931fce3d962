"""Numbers as carriers write them become one E.164 each, and are written back as the carrier expects them."""

import itertools

import phonenumbers
import pytest
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from engine.domain import numbers
from engine.domain.number_plan import NumberFormat, NumberPlan, caller_of, national_spelling, tel_link
from engine.domain.numbers import ANONYMOUS, is_e164

E164, PLUS, ZEROS, NATIONAL = NumberFormat.E164, NumberFormat.PLUS, NumberFormat.ZEROS, NumberFormat.NATIONAL
EVERY = tuple(NumberFormat)

# Country, formats, what the carrier sends → E.164, or as sent. Trunk and international prefixes are those of the list
# "Dialling procedures (international prefix, national (trunk) prefix and national (significant) number)" that ITU-T
# publishes as an annex to its Operational Bulletin, and that the phonenumbers library follows.
READ: list[tuple[str | None, tuple[NumberFormat, ...], str, str]] = [
    # Without a country: only what is international without one.
    (None, EVERY, "+32475123456", "+32475123456"),
    (None, EVERY, "32475123456", "+32475123456"),
    (None, EVERY, "0032475123456", "+32475123456"),
    (None, EVERY, "0475123456", "0475123456"),
    (None, EVERY, "475123456", "+475123456"),
    # Belgium: trunk prefix 0.
    ("BE", EVERY, "+32475123456", "+32475123456"),
    ("BE", EVERY, "32475123456", "+32475123456"),
    ("BE", EVERY, "0032475123456", "+32475123456"),
    ("BE", EVERY, "0475123456", "+32475123456"),
    ("BE", EVERY, "475123456", "+32475123456"),
    ("BE", EVERY, "025550000", "+3225550000"),
    ("BE", EVERY, "33612345678", "+33612345678"),
    ("BE", EVERY, "0033612345678", "+33612345678"),
    ("BE", EVERY, "+33612345678", "+33612345678"),
    # Numbers of a private plan, emergency and short numbers are no E.164.
    ("BE", EVERY, "1000", "1000"),
    ("BE", EVERY, "112", "112"),
    ("BE", EVERY, "12345", "12345"),
    ("DE", EVERY, "12345", "12345"),
    # France, Germany, the United Kingdom, the Netherlands: trunk prefix 0.
    ("FR", EVERY, "0199001234", "+33199001234"),
    ("FR", EVERY, "33199001234", "+33199001234"),
    ("FR", EVERY, "0032475123456", "+32475123456"),
    ("DE", EVERY, "015112345678", "+4915112345678"),
    ("DE", EVERY, "03012345678", "+493012345678"),
    ("GB", EVERY, "02079460018", "+442079460018"),
    ("GB", EVERY, "447400123456", "+447400123456"),
    ("NL", EVERY, "0612345678", "+31612345678"),
    # Italy: the zero belongs to the number.
    ("IT", EVERY, "0612345678", "+390612345678"),
    ("IT", EVERY, "390612345678", "+390612345678"),
    ("IT", EVERY, "00390612345678", "+390612345678"),
    ("IT", EVERY, "3123456789", "+393123456789"),
    # Spain, Denmark, Norway, Portugal: no trunk prefix.
    ("ES", EVERY, "612345678", "+34612345678"),
    ("ES", EVERY, "34612345678", "+34612345678"),
    ("DK", EVERY, "32123456", "+4532123456"),
    ("DK", EVERY, "4532123456", "+4532123456"),
    ("NO", EVERY, "40612345", "+4740612345"),
    # The United States: no trunk prefix, but 1 before numbers of other areas, and 011 before foreign ones.
    ("US", EVERY, "4155550123", "+14155550123"),
    ("US", EVERY, "14155550123", "+14155550123"),
    ("US", EVERY, "+14155550123", "+14155550123"),
    ("US", EVERY, "01132475123456", "+32475123456"),
    ("US", EVERY, "0032475123456", "+32475123456"),
    ("US", EVERY, "32475123456", "+32475123456"),
    # Hungary: trunk prefix 06. Russia and Kazakhstan: 8, and 810 before foreign numbers.
    ("HU", EVERY, "06201234567", "+36201234567"),
    ("HU", EVERY, "36201234567", "+36201234567"),
    ("RU", EVERY, "89123456789", "+79123456789"),
    ("RU", EVERY, "9123456789", "+79123456789"),
    ("RU", EVERY, "79123456789", "+79123456789"),
    ("RU", EVERY, "81032475123456", "+32475123456"),
    ("KZ", EVERY, "87710009998", "+77710009998"),
    # Lithuania: 0 now, 8 before. Ivory Coast: numbers begin with 0. San Marino: the area code may be left out.
    ("LT", EVERY, "061234567", "+37061234567"),
    ("CI", EVERY, "0123456789", "+2250123456789"),
    ("CI", EVERY, "+2250123456789", "+2250123456789"),
    # Australia: 0011 before foreign numbers. Japan: 010. Brazil: 00 and a carrier's two digits.
    ("AU", EVERY, "0412345678", "+61412345678"),
    ("AU", EVERY, "001132475123456", "+32475123456"),
    ("JP", EVERY, "01032475123456", "+32475123456"),
    ("JP", EVERY, "09012345678", "+819012345678"),
    ("BR", EVERY, "011961234567", "+5511961234567"),
    # Mexico: no trunk prefix since 2019.
    ("MX", EVERY, "2221234567", "+522221234567"),
    # Ambiguous: a number of Singapore without its +, or of Alabama. The format decides.
    ("US", (E164,), "6592345678", "+6592345678"),
    ("US", (PLUS, ZEROS, NATIONAL), "6592345678", "+16592345678"),
    ("SG", EVERY, "6592345678", "+6592345678"),
    # Ambiguous: 00 as international prefix, or the beginning of Australia's 0011.
    ("AU", (E164, PLUS, ZEROS), "0014155550123", "+14155550123"),
    # A number range that the library does not know has the right length.
    ("BE", EVERY, "0499999999", "+32499999999"),
    # A trunk prefix that stayed behind the country code.
    (None, EVERY, "+320475123456", "+32475123456"),
    (None, EVERY, "4402079460018", "+442079460018"),
    ("BE", EVERY, "+320475123456", "+32475123456"),
    (None, EVERY, "+390612345678", "+390612345678"),
    (None, EVERY, "+3200475123456", "+32475123456"),
    (None, EVERY, "+114155550123", "+14155550123"),
    ("US", EVERY, "+114155550123", "+14155550123"),
    (None, EVERY, "+789123456789", "+79123456789"),
    (None, EVERY, "+78001234567", "+78001234567"),
    (None, EVERY, "+370861234567", "+37061234567"),
    (None, EVERY, "+5212221234567", "+522221234567"),
    (None, EVERY, "+360620123456", "+360620123456"),
    (None, EVERY, "+3606201234567", "+36201234567"),
    # A zero before the country code of the carrier's own country; elsewhere nobody is named.
    ("BE", EVERY, "032475123456", "+32475123456"),
    (None, EVERY, "032475123456", "032475123456"),
    # A country without trunk prefix 0 has no number with a zero before it.
    ("US", EVERY, "0475123456", "0475123456"),
    ("ES", EVERY, "0475123456", "0475123456"),
    ("RU", EVERY, "0655123456", "0655123456"),
    ("IT", EVERY, "0475123456", "+390475123456"),
    # Junk that a caller may write to evade a block: what its digits are.
    (None, EVERY, "++32475123456", "+32475123456"),
    (None, EVERY, "32+475123456", "+32475123456"),
    (None, EVERY, "0032+475123456", "+32475123456"),
    (None, EVERY, "00+32475123456", "+32475123456"),
    (None, EVERY, "+0032475123456", "+32475123456"),
    (None, EVERY, "00032475123456", "+32475123456"),
    (None, EVERY, "32475123456+", "+32475123456"),
    ("BE", EVERY, "+0475123456", "+32475123456"),
    ("BE", EVERY, "04751+23456", "+32475123456"),
    ("BE", EVERY, "00032475123456", "+32475123456"),
    # Digits that are no number.
    *[(None, EVERY, text, ANONYMOUS) for text in ("", "0", "00", "0000000000", "+", "++", "+0", "+0000000000")],
    *[("BE", EVERY, text, ANONYMOUS) for text in ("", "0", "00", "0000000000", "+", "++", "+0", "+0000000000")],
    *[(None, EVERY, text, ANONYMOUS) for text in ("+0470123456", "+1234", "+1415555012345678")],
    # A sandbox's number has a country code that no country has.
    ("BE", EVERY, "+999123456789012", "+999123456789012"),
]
CASES = [(country, each, sent, number) for country, formats, sent, number in READ for each in formats]


@pytest.mark.parametrize(("country", "number_format", "sent", "caller"), CASES)
def test_a_caller_has_one_number_however_the_carrier_writes_it(
    country: str | None, number_format: NumberFormat, sent: str, caller: str
) -> None:
    plan = NumberPlan(number_format, country)
    assert caller_of(sent, plan) == caller
    assert caller_of(caller, plan) == caller


def test_a_dialled_number_is_never_mended() -> None:
    """Who dials a number that is none reaches nobody."""
    for sent in ("++32475123456", "32+475123456", "+0032475123456", "", "+", "0000000000", "+0470123456"):
        assert NumberPlan(PLUS, "BE").read(sent) is None
        assert NumberPlan().read(sent) is None


# Country, number → how it is written in each format, in the order of NumberFormat.
WRITTEN = [
    ("BE", "+32475123456", ("32475123456", "+32475123456", "0032475123456", "0475123456")),
    ("BE", "+33199001234", ("33199001234", "+33199001234", "0033199001234", "0033199001234")),
    ("IT", "+390612345678", ("390612345678", "+390612345678", "00390612345678", "0612345678")),
    ("US", "+14155550123", ("14155550123", "+14155550123", "0014155550123", "4155550123")),
    ("US", "+32475123456", ("32475123456", "+32475123456", "0032475123456", "01132475123456")),
    ("HU", "+36201234567", ("36201234567", "+36201234567", "0036201234567", "06201234567")),
    ("RU", "+79123456789", ("79123456789", "+79123456789", "0079123456789", "89123456789")),
    ("RU", "+32475123456", ("32475123456", "+32475123456", "0032475123456", "81032475123456")),
    ("KZ", "+79123456789", ("79123456789", "+79123456789", "0079123456789", "89123456789")),
    ("AU", "+32475123456", ("32475123456", "+32475123456", "0032475123456", "001132475123456")),
    ("DK", "+4532123456", ("4532123456", "+4532123456", "004532123456", "32123456")),
]


@pytest.mark.parametrize(("country", "number", "written"), WRITTEN)
def test_a_number_is_written_in_the_carriers_format(country: str, number: str, written: tuple[str, ...]) -> None:
    assert tuple(NumberPlan(each, country).write(number) for each in EVERY) == written  # type: ignore[arg-type]


FAR = ("+32475123456", "+14155550123", "+390612345678", "+36201234567", "+6592345678", "+79123456789", "+2250123456789")


def test_every_country_reads_what_is_written_to_it() -> None:
    """An example of each kind of number of each country that the library knows, and numbers from far away."""
    kinds = (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE, PhoneNumberType.TOLL_FREE, PhoneNumberType.VOIP)
    wrong, cases = [], 0
    for country in phonenumbers.SUPPORTED_REGIONS:
        examples = [phonenumbers.example_number_for_type(country, kind) for kind in kinds]
        own = [phonenumbers.format_number(each, PhoneNumberFormat.E164) for each in examples if each is not None]
        for number, number_format in itertools.product({*filter(is_e164, own), *FAR}, EVERY):
            plan = NumberPlan(number_format, country)
            cases += 1
            if plan.read(plan.write(number)) != number:  # type: ignore[arg-type]
                wrong.append((country, number_format, number))
    print(f"\nnumbers: {cases} written and read, wrong {len(wrong)}; table: {len(CASES)} cases")  # noqa: T201  the figure
    assert wrong == []
    assert cases > 9_000


def test_a_trunk_prefix_behind_the_country_code_is_dropped_in_every_country() -> None:
    """Where the number with its prefix is itself a number, as +7 8… is, it stays as it is."""
    kept = []
    for country in phonenumbers.SUPPORTED_REGIONS:
        metadata = phonenumbers.PhoneMetadata.metadata_for_region(country, None)
        example = phonenumbers.example_number_for_type(country, PhoneNumberType.FIXED_LINE)
        if metadata is None or metadata.national_prefix is None or example is None:
            continue
        significant = phonenumbers.national_significant_number(example)
        spelled = f"+{metadata.country_code}{metadata.national_prefix}{significant}"
        number = phonenumbers.format_number(example, PhoneNumberFormat.E164)
        if is_e164(spelled) and caller_of(spelled) != number:
            kept.append((country, spelled))
    assert kept == []


@pytest.mark.parametrize(
    ("number", "written"),
    [
        ("+3225550000", "02 555 00 00"),
        ("+32475123456", "0475 12 34 56"),
        ("+33612345678", "06 12 34 56 78"),
        ("+390612345678", "06 1234 5678"),
        ("+14155550123", "(415) 555-0123"),
        ("+442079460958", "020 7946 0958"),
        ("+999000000000001", "+999000000000001"),  # a simulated number belongs to no country
    ],
)
def test_a_number_is_written_as_people_of_its_country_write_it(number: str, written: str) -> None:
    """As in ITU-T E.123's national notation."""
    assert national_spelling(numbers.E164(number)) == written
    assert tel_link(numbers.E164(number)) == f"tel:{number}"
