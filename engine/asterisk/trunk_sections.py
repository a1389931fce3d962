"""The sections of pjsip.conf for the trunks: one endpoint for calls that come in, one for calls that leave."""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from engine.config.trunk_settings import CallerIdHeader, DialledNumber, TrunkSettings, host_of
from engine.config.types import MediaEncryption

# "Optimistic": the first line of sound in an offer is taken, be it encrypted or not.
OPTIONAL_ENCRYPTION = ("media_encryption = sdes", "media_encryption_optimistic = yes")
# Never "optimistic": media would silently fall back to unencrypted.
REQUIRED_ENCRYPTION = ("media_encryption = sdes", "media_encryption_optimistic = no")
# A caller whose INVITE has no offer hears something before the answer only if 183 is reliable (RFC 3262), which the
# caller has to support.
RELIABLE_PROGRESS = ("100rel = peer_supported",)
# If a carrier's Contact or Record-Route has no `;transport=tls`, Asterisk would send the next requests of the call over
# UDP, and they name the hidden number. With this option it sends them to the address from which the answer came. Calls
# that come in do not have it: the carrier opened their connection, and once that is closed, its port takes no new one.
STAY_ENCRYPTED = ("rewrite_contact = yes",)
# The dialplan reads who calls as the carrier asserts it.
ASSERTED_IDENTITY = ("set_var = RN_ASSERTS=yes",)
# Every digest algorithm that carriers use (RFC 8760). Without this option Asterisk answers MD5 challenges alone.
ALGORITHMS = "MD5,SHA-256,SHA-512-256"
# In deploy/kamailio/kamailio.cfg as well.
KAMAILIO_HEADER = "X-RN-Trunk"
# How long an OPTIONS request may stay without an answer.
QUALIFY_SECONDS = 3
# Seconds until a registration that failed is tried again: for the second, the carrier has refused it.
RETRY_SECONDS, REFUSED_RETRY_SECONDS = 10, 60
# As good as for ever; the default gives up after ten times.
MAX_RETRIES = 1_000_000_000


def trunk_sections(
    trunks: Sequence[TrunkSettings],
    passwords: Mapping[str, str],
    kamailio_token: str | None = None,
    *,
    speaks: bool = False,
) -> str:
    """Returns the sections of all trunks.

    Args:
        trunks: The trunks.
        passwords: The password of each trunk that has a username, by the trunk's name.
        kamailio_token: The token by which Kamailio's requests are known, if it stands before Asterisk.
        speaks: Whether callers hear prompts before their call is answered.
    """
    each = [_sections(trunk, trunks, passwords, kamailio_token, speaks=speaks) for trunk in trunks]
    return "\n\n".join(section for sections in each for section in sections)


def _sections(
    trunk: TrunkSettings,
    trunks: Sequence[TrunkSettings],
    passwords: Mapping[str, str],
    kamailio_token: str | None,
    *,
    speaks: bool,
) -> Iterator[str]:
    """Yields the sections of one trunk.

    The two directions have endpoints of their own, because an option that shows identities to the callee's side must
    not show them to callers. The context of the second one has no extensions, so that no call can come in by it.
    """
    context = "rented-numbers-to" if trunk.dialled_number is DialledNumber.TO else "rented-numbers"
    yield _section(
        f"[{trunk.carrier}](rented-numbers)",
        f"context = {context}",
        f"identify_by = {'ip' if kamailio_token is None else 'header'}",
        *_common(trunk),
        *_encryption_of_offers(trunk),
        *(RELIABLE_PROGRESS if speaks else ()),
        *(ASSERTED_IDENTITY if trunk.asserts_identity else ()),
    )
    if trunk.addresses:
        yield _section(
            f"[{trunk.carrier}]",
            "type = identify",
            f"endpoint = {trunk.carrier}",
            *_matches(trunk, kamailio_token),
        )
    yield _section(
        f"[{trunk.endpoint}](rented-numbers)",
        "context = rented-numbers-nowhere",
        "identify_by = ip",
        f"aors = {trunk.endpoint}",
        *_proxy(trunk),
        *_identity(trunk),
        *_common(trunk),
        *_encryption(trunk),
        *(STAY_ENCRYPTED if trunk.over_tls else ()),
    )
    yield _section(f"[{trunk.endpoint}]", "type = aor", f"contact = {_literal(trunk.uri)}", *_qualify(trunk))
    if trunk.username is not None:
        yield _authentication(trunk, trunk.username, passwords[trunk.name])
        if trunk.registers:
            yield _registration(trunk, trunk.username)
    # Behind Kamailio no carrier's endpoint has an address.
    yield from _identified(trunk, trunks if kamailio_token is None else ())


def _matches(trunk: TrunkSettings, kamailio_token: str | None) -> Iterator[str]:
    """Yields the lines by which Asterisk identifies the calls of a trunk's carrier.

    All of them come from Kamailio's address, so that a header tells the trunks apart. The token in it shows that
    Kamailio wrote it: others may be able to reach Asterisk as well.
    """
    if kamailio_token is None:
        yield from (f"match = {each}" for each in trunk.addresses)
    else:
        yield f"match_header = {KAMAILIO_HEADER}: {trunk.name}-{kamailio_token}"


def _authentication(trunk: TrunkSettings, username: str, password: str) -> str:
    return _section(
        f"[{trunk.endpoint}]",
        "type = auth",
        "auth_type = userpass",
        f"username = {_literal(username)}",
        f"password = {_literal(password)}",
        f"supported_algorithms_uac = {ALGORITHMS}",
        *([f"realm = {_literal(trunk.realm)}"] if trunk.realm is not None else []),
    )


def _common(trunk: TrunkSettings) -> Iterator[str]:
    """Yields what both endpoints of a trunk have."""
    if trunk.username is not None:
        # Also for the caller's side: a carrier may challenge the BYE that ends its call.
        yield f"outbound_auth = {trunk.endpoint}"
    if trunk.codecs is not None:
        yield "disallow = all"
        yield f"allow = {','.join(trunk.codecs)}"
    if _is_ipv6(trunk):
        # Otherwise the session description would name an IPv4 address.
        yield "rtp_ipv6 = yes"


def _identity(trunk: TrunkSettings) -> Iterator[str]:
    """Yields who is shown to the callee's side. The connected line of this endpoint's calls is the caller's number.

    `trust_id_outbound` stays off, so that Asterisk writes none of these headers when the caller withholds its number.
    """
    if trunk.from_user is not None:
        yield f"from_user = {trunk.from_user}"
    if trunk.from_domain is not None:
        yield f"from_domain = {trunk.from_domain}"
    if trunk.caller_id_header is CallerIdHeader.PAI:
        yield "send_pai = yes"
    elif trunk.caller_id_header is CallerIdHeader.RPID:
        yield "send_rpid = yes"


def _proxy(trunk: TrunkSettings) -> Iterator[str]:
    """Yields the outbound proxy, as a loose router: it gets the request, and the Request-URI stays the carrier's."""
    if trunk.outbound_proxy is not None:
        yield f"outbound_proxy = {_literal(trunk.outbound_proxy)}\\;lr"


def _qualify(trunk: TrunkSettings) -> Iterator[str]:
    if trunk.qualify:
        yield f"qualify_frequency = {trunk.qualify}"
        yield f"qualify_timeout = {QUALIFY_SECONDS}"
        yield from _proxy(trunk)


def _registration(trunk: TrunkSettings, username: str) -> str:
    """Returns the section by which Asterisk registers with the carrier, again and again until it succeeds.

    With `line`, the Contact that the carrier gets has a random parameter, which comes back in its calls: by it they
    belong to the trunk, from whatever address they come.
    """
    user = quote(username, safe="!*'()$&=+/~")
    domain = trunk.from_domain or host_of(trunk.uri)
    return _section(
        f"[{trunk.endpoint}]",
        "type = registration",
        f"server_uri = {_literal(trunk.uri)}",
        f"client_uri = sip:{user}@{f'[{domain}]' if ':' in domain else domain}",
        f"contact_user = {user}",
        f"outbound_auth = {trunk.endpoint}",
        *_proxy(trunk),
        f"expiration = {trunk.expires}",
        f"retry_interval = {RETRY_SECONDS}",
        f"forbidden_retry_interval = {REFUSED_RETRY_SECONDS}",
        f"fatal_retry_interval = {REFUSED_RETRY_SECONDS}",
        "auth_rejection_permanent = no",
        f"max_retries = {MAX_RETRIES}",
        "max_random_initial_delay = 1",
        "line = yes",
        f"endpoint = {trunk.carrier}",
    )


def _identified(trunk: TrunkSettings, trunks: Sequence[TrunkSettings]) -> Iterator[str]:
    """Yields the section by which Asterisk identifies stray requests from the trunk's own addresses, if one is needed.

    Asterisk logs requests from unknown sources with the caller's number in them, and in requests from the trunk that is
    the hidden number. No section is written for an address of a carrier's, nor for one that is given by name, which
    Asterisk would resolve only when it starts.
    """
    known = [ipaddress.ip_network(each) for other in trunks for each in other.addresses]
    strays = [each for each in _literals(trunk) if not any(each in network for network in known)]
    if strays:
        yield _section(
            f"[{trunk.endpoint}]",
            "type = identify",
            f"endpoint = {trunk.endpoint}",
            *(f"match = {each}" for each in strays),
        )


def _literals(trunk: TrunkSettings) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Yields the addresses of a trunk's carrier and proxy, except those given by name."""
    for host in trunk.hosts:
        try:
            yield ipaddress.ip_address(host)
        except ValueError:
            continue


def _is_ipv6(trunk: TrunkSettings) -> bool:
    """Returns whether calls on a trunk use IPv6: its own address decides, or those of its callers."""
    if trunk.next_address is not None:
        return isinstance(trunk.next_address, ipaddress.IPv6Address)
    return bool(trunk.addresses) and all(":" in each for each in trunk.addresses)


def _encryption_of_offers(trunk: TrunkSettings) -> Sequence[str]:
    """Returns the encryption options of the endpoint for calls that come in.

    Without encryption, Asterisk refuses an offer whose first line of sound is encrypted, even if another line is not.
    Optional encryption is no default, because Asterisk then never joins two streams of sound directly, and a call's
    sound costs it 40 % more.
    """
    return OPTIONAL_ENCRYPTION if trunk.media_encryption is MediaEncryption.OPTIONAL else _encryption(trunk)


def _encryption(trunk: TrunkSettings) -> Sequence[str]:
    """Returns the encryption options of an endpoint on a trunk that has to be encrypted; of others, nothing."""
    return REQUIRED_ENCRYPTION if trunk.media_encryption is MediaEncryption.SDES else ()


def _section(*lines: str) -> str:
    return "\n".join(lines)


def _literal(text: str) -> str:
    """Returns a text as it stands in Asterisk's files, where a semicolon without a backslash starts a comment."""
    return text.replace(";", "\\;")
