"""Checks that refuse trunks which cannot work together. Every message names the settings at fault."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from ipaddress import ip_address, ip_network
from itertools import combinations

from engine.config.asterisk_settings import AsteriskSettings
from engine.config.checks import refuse_half_of_tls
from engine.config.trunk_settings import TrunkSettings, is_over_tls
from engine.config.types import MediaEncryption

# The settings that describe the only trunk.
SHORT_FORM = ("trunk_uri", "carrier_addresses", "media_encryption")


def refuse_unusable_trunks(settings: AsteriskSettings, plain_sip: Callable[[], bool]) -> None:
    """Refuses trunks over which no call could be made, or that contradict each other.

    Args:
        settings: Those of Asterisk and of the trunks.
        plain_sip: Returns whether our own Asterisk listens for SIP without TLS; asked only when the trunks are known
            to be valid.

    Raises:
        ValueError: There is one.
    """
    if settings.trunks:
        _refuse_two_forms(settings.model_fields_set)
        _refuse_mixed_up(settings.trunks)
    elif settings.media_encryption is MediaEncryption.SDES and not is_over_tls(settings.trunk_uri):
        # `TrunkSettings` says the same of each of `trunks`.
        raise ValueError(
            "media_encryption = sdes needs ;transport=tls in trunk_uri, or the keys would be sent unencrypted"
        )
    if not settings.manage_asterisk:
        return  # an Asterisk that we do not configure has its own transports
    trunks = settings.trunks_in_use
    if settings.kamailio_host is not None and settings.sip_plain is False:
        raise ValueError("sip_plain is false, but Kamailio sends calls without TLS: remove one of the two")
    if {"trunks", "trunk_uri"} & settings.model_fields_set:
        _refuse_other_family(trunks, settings.sip_host)
    refuse_half_of_tls(
        without_tls=[f"trunk {each.name}" if settings.trunks else "trunk_uri" for each in trunks if not each.over_tls],
        with_tls=settings.trunk_over_tls,
        plain_sip=plain_sip(),
        tls_port=settings.sip_tls_port,
        has_certificate=settings.sip_tls_certificate is not None and settings.sip_tls_key is not None,
    )


def _refuse_two_forms(chosen: Collection[str]) -> None:
    """Refuses `trunks` together with the short form of one trunk, because one of the two would be ignored.

    Args:
        chosen: Names of the settings that have been set.

    Raises:
        ValueError: Both forms are used.
    """
    short = [name for name in SHORT_FORM if name in chosen]
    if short:
        raise ValueError(
            f"trunks and {', '.join(short)} are set: write what {short[0]} says into one of the trunks, and remove it"
        )


def _refuse_mixed_up(trunks: Sequence[TrunkSettings]) -> None:
    """Refuses trunks that Asterisk could not tell apart.

    Raises:
        ValueError: Two of them have the same name, or an address from which both send calls.
    """
    for name, count in Counter(trunk.name for trunk in trunks).items():
        if count > 1:
            raise ValueError(f"trunks: {count} of them have the name {name}")
    for one, other in combinations(trunks, 2):
        for address in one.addresses:
            for each in other.addresses:
                if _overlap(address, each):
                    raise ValueError(
                        f"trunks: calls from {each} could be of trunk {one.name} and of trunk {other.name}: "
                        "list the address in addresses of one of them"
                    )


def _overlap(one: str, other: str) -> bool:
    first, second = ip_network(one), ip_network(other)
    return first.version == second.version and first.overlaps(second)


def _refuse_other_family(trunks: Sequence[TrunkSettings], sip_host: str) -> None:
    """Refuses a trunk that our own Asterisk cannot reach, because its address is IPv6 and ours is IPv4 or the reverse.

    Raises:
        ValueError: There is one.
    """
    ours = ip_address(sip_host)
    if ours.is_unspecified:
        return
    for trunk in trunks:
        theirs = trunk.next_address
        if theirs is not None and theirs.version != ours.version:
            raise ValueError(
                f"trunk {trunk.name} has an IPv{theirs.version} address, but sip_host is {sip_host}: "
                "set sip_host to 0.0.0.0, which is every address of both kinds"
            )
