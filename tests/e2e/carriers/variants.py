"""The kinds of trunks that carriers sell, in one table: their settings, and what they tell of who is calling."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from phones.peer import Account, Address

PASSWORD = 'p;w "of" ;--#[\\x'
DOMAIN = "carrier.example"
# Asterisk's words for a caller that shows no number, with the user and the domain that a trunk has of its own.
ANONYMOUS = '"Anonymous" <sip:anonymous@anonymous.invalid>'
NUMBERS_EACH = 100


@dataclass(frozen=True)
class Variant:
    """A kind of trunk.

    Attributes:
        trunk: Fields of its table in the settings, in addition to its name, its address and its callers' address.
        shown: The headers that identify a caller who shows the number {n}; {h} is our address.
        withheld: The same of a caller who withholds it.
        account: The user name and password that the carrier asks for, or None.
        uri: Its URI, where that is not the carrier's address.
    """

    name: str
    trunk: Mapping[str, object] = field(default_factory=dict)
    shown: tuple[str, ...] = ("From: <sip:{n}@{h}>",)
    withheld: tuple[str, ...] = (f"From: {ANONYMOUS}", "Privacy: id")
    account: Account | None = None
    uri: str = ""
    transport: str = "udp"


def _account(user: str, **how: object) -> Account:
    return Account(user, PASSWORD, **how)  # type: ignore[arg-type]


USER = {"username": "acc-1", "from_user": "acc-1", "from_domain": DOMAIN}
ACCOUNT = f"<sip:acc-1@{DOMAIN}>"
# From is the account's, whoever calls: the carrier asks for it. It says nothing of the caller.
ACCOUNT_ALONE = (f'From: "Anonymous" {ACCOUNT}', "Privacy: id")
PAI = f"P-Asserted-Identity: <sip:{{n}}@{DOMAIN}>"
RPID = f"Remote-Party-ID: <sip:{{n}}@{DOMAIN}>;party=calling;privacy=off;screen=no"
VARIANTS = (
    Variant("from"),
    Variant(
        "pai",
        {"caller_id_header": "pai", "asserts_identity": True},
        ("From: <sip:{n}@{h}>", "P-Asserted-Identity: <sip:{n}@{h}>"),
    ),
    Variant(
        "rpid",
        {"caller_id_header": "rpid"},
        ("From: <sip:{n}@{h}>", "Remote-Party-ID: <sip:{n}@{h}>;party=calling;privacy=off;screen=no"),
    ),
    Variant("user", USER, (f"From: {ACCOUNT}",), ACCOUNT_ALONE, _account("acc-1")),
    Variant(
        "user-pai", {**USER, "caller_id_header": "pai"}, (f"From: {ACCOUNT}", PAI), ACCOUNT_ALONE, _account("acc-1")
    ),
    Variant(
        "user-rpid",
        {**USER, "caller_id_header": "rpid"},
        (f"From: {ACCOUNT}", RPID),
        ACCOUNT_ALONE,
        _account("acc-1", status=407, algorithm="SHA-256"),
    ),
    Variant("realm", {**USER, "realm": DOMAIN}, (f"From: {ACCOUNT}",), ACCOUNT_ALONE, _account("acc-1")),
    Variant("line", {"username": "line@1", "register": True, "expires": 60}, account=_account("line@1")),
    Variant("proxy", {"outbound_proxy": "CARRIER"}, uri=f"sip:{DOMAIN}"),
    Variant("tcp", {}, transport="tcp"),
    Variant("wideband", {"codecs": ["g722", "alaw", "ulaw"]}),
    Variant(
        "line-to",
        {"username": "line@2", "register": True, "expires": 60, "dialled_number": "to"},
        account=_account("line@2"),
    ),
)

# The only trunk whose carrier Asterisk asks whether it is there. On a machine that stands still the answer comes late,
# and the trunk counts as down for a moment: so only the test of this calls over it.
WATCHED = Variant("watched", {"qualify": 1})
EVERY = (*VARIANTS, WATCHED)


def hidden_numbers(variant: Variant) -> list[str]:
    """The hidden numbers that are called over this trunk."""
    first = 2000 + NUMBERS_EACH * EVERY.index(variant)
    return [f"+3319900{number}" for number in range(first, first + NUMBERS_EACH)]


def variant_of(number: str) -> Variant:
    """The trunk over which a hidden number is called."""
    return EVERY[(int(number[-4:]) - 2000) // NUMBERS_EACH]


def callers_host(variant: Variant) -> str:
    """The address of the callers that come in over this trunk; the carrier's own where the line tells them."""
    return f"127.2.0.{EVERY.index(variant) + 1}"


def trunks(carrier: Address) -> list[dict[str, object]]:
    """The settings of all trunks of a carrier at this address."""
    return [_trunk(variant, f"sip:{carrier[0]}:{carrier[1]}") for variant in EVERY]


def _trunk(variant: Variant, carrier: str) -> dict[str, object]:
    fields = {name: carrier if value == "CARRIER" else value for name, value in variant.trunk.items()}
    suffix = "" if variant.transport == "udp" else f";transport={variant.transport}"
    addresses = [] if "register" in fields else [callers_host(variant)]
    return {"name": variant.name, "uri": f"{variant.uri or carrier}{suffix}", "addresses": addresses, **fields}


def passwords() -> dict[str, str]:
    """The password of each trunk that has one."""
    return {variant.name: variant.account.password for variant in VARIANTS if variant.account is not None}
