"""Refuses combinations of settings that cannot work: each function names the settings at fault.

The functions take plain values, so that `engine.config.settings` imports this module and not the other way round.
"""

from collections.abc import Sequence
from datetime import timedelta
from itertools import combinations
from typing import NamedTuple

from engine.config.types import MediaEncryption, is_loopback

ANY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104  compared with, never bound
MIN_RTP_PORTS = 10


class Listener(NamedTuple):
    """A TCP or UDP port that this machine opens, with the setting that chooses it."""

    setting: str
    host: str
    port: int


def refuse_short(durations: Sequence[tuple[str, timedelta]], shortest: timedelta, why: str) -> None:
    """Refuses durations below `shortest`.

    Raises:
        ValueError: One is too short; the message names it and says why.
    """
    for name, duration in durations:
        if duration < shortest:
            raise ValueError(f"{name} must be at least {shortest.total_seconds():g} s{why}")


def refuse_rtp_range(start: int, end: int, *, sip_port: int | None) -> None:
    """Refuses a range of RTP ports that is too small or holds the SIP port.

    Args:
        start: First port.
        end: Last port.
        sip_port: Our own Asterisk's SIP port; None where this machine runs no Asterisk.

    Raises:
        ValueError: With the settings' names.
    """
    if end - start < MIN_RTP_PORTS:
        raise ValueError(f"rtp_end must lie at least {MIN_RTP_PORTS} above rtp_start")
    if sip_port is not None and start <= sip_port <= end:
        raise ValueError(f"sip_port {sip_port} lies between rtp_start and rtp_end: choose another")


def refuse_shared_ports(listeners: Sequence[Listener]) -> None:
    """Refuses two listeners on one port of one address.

    Raises:
        ValueError: With the names of both settings.
    """
    for one, other in combinations(listeners, 2):
        same_address = one.host == other.host or not ANY_ADDRESS.isdisjoint((one.host, other.host))
        if one.port == other.port and same_address:
            raise ValueError(f"{one.setting} and {other.setting} are both {one.port}: choose another for one of them")


def refuse_half_of_tls(
    *,
    media_encryption: MediaEncryption,
    trunk_over_tls: bool,
    plain_sip: bool,
    manage_asterisk: bool,
    tls_port: int | None,
    has_certificate: bool,
) -> None:
    """Refuses TLS settings under which nothing could be sent, or something would be sent in the clear.

    Raises:
        ValueError: With the settings that are missing or contradict each other.
    """
    if media_encryption is not MediaEncryption.NONE and not trunk_over_tls:
        raise ValueError("media_encryption: trunk_uri must say ;transport=tls, or the keys would be sent in the clear")
    if not manage_asterisk:
        return  # an Asterisk that we do not configure has transports of its own
    if tls_port is None and (trunk_over_tls or not plain_sip):
        raise ValueError("sip_tls_port must be set: there is no other way to speak SIP over TLS")
    if tls_port is not None and not has_certificate:
        raise ValueError("sip_tls_port needs sip_tls_certificate and sip_tls_key")
    if not plain_sip and not trunk_over_tls:
        raise ValueError("sip_plain is false, and so trunk_uri must say ;transport=tls")


def refuse_open_fastagi(host: str, peers: Sequence[str] | None) -> None:
    """Refuses a FastAGI listener that other machines can reach while nobody said which of them may ask.

    Raises:
        ValueError: `peers` is None and `host` is not a loopback address.
    """
    if peers is None and not is_loopback(host):
        raise ValueError(
            f"other machines can reach fastagi_host {host}: list in fastagi_peers the addresses from "
            "which your Asterisks ask"
        )
