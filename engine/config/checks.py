"""Checks that refuse settings which cannot work together. Every message names the settings at fault.

The functions take plain values, so that `engine.config.settings` imports this module and not the other way round.
"""

from collections.abc import Sequence
from datetime import timedelta
from itertools import combinations
from typing import NamedTuple

from engine.config.types import is_loopback

ANY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104  compared with, never bound
# `rtp_end` must be greater than `rtp_start` by this.
MIN_RTP_PORTS = 10


class Listener(NamedTuple):
    """A TCP or UDP port that this machine opens.

    Attributes:
        setting: Name of the setting that chooses the port.
        host: Address to listen on.
        port: The port.
    """

    setting: str
    host: str
    port: int


def refuse_short(durations: Sequence[tuple[str, timedelta]], shortest: timedelta, reason: str | None = None) -> None:
    """Refuses durations below `shortest`.

    Args:
        durations: Names of settings and their values.
        shortest: The least value.
        reason: Why, for the message.

    Raises:
        ValueError: One is too short.
    """
    because = f": {reason}" if reason else ""
    for name, duration in durations:
        if duration < shortest:
            raise ValueError(f"{name} must be at least {shortest.total_seconds():g} s{because}")


def refuse_rtp_range(start: int, end: int, *, sip_port: int | None) -> None:
    """Refuses a range of RTP ports that is too small or includes the SIP port.

    Args:
        start: First port.
        end: Last port.
        sip_port: SIP port of our own Asterisk. None: we run no Asterisk here.

    Raises:
        ValueError: The range cannot be used.
    """
    if end - start < MIN_RTP_PORTS:
        raise ValueError(f"rtp_end must be at least {MIN_RTP_PORTS} greater than rtp_start")
    if sip_port is not None and start <= sip_port <= end:
        raise ValueError(f"sip_port {sip_port} is between rtp_start and rtp_end: choose another")


def refuse_shared_ports(listeners: Sequence[Listener]) -> None:
    """Refuses two listeners on the same port of the same address.

    Raises:
        ValueError: Two listeners collide.
    """
    for one, other in combinations(listeners, 2):
        same_address = one.host == other.host or not ANY_ADDRESS.isdisjoint((one.host, other.host))
        if one.port == other.port and same_address:
            raise ValueError(f"{one.setting} and {other.setting} are both {one.port}: choose another for one of them")


def refuse_half_of_tls(
    *, without_tls: Sequence[str], with_tls: bool, plain_sip: bool, tls_port: int | None, has_certificate: bool
) -> None:
    """Refuses settings with which our own Asterisk could not send calls over a trunk.

    Args:
        without_tls: The trunks that do not use TLS, as a message names them.
        with_tls: Whether any trunk uses TLS.
        plain_sip: Whether our own Asterisk listens for SIP without TLS.
        tls_port: Our own Asterisk's port for SIP over TLS, if any.
        has_certificate: Whether both its certificate and its key are set.

    Raises:
        ValueError: Settings are missing or contradict each other.
    """
    if tls_port is None and (with_tls or not plain_sip):
        raise ValueError("sip_tls_port must be set: SIP over TLS needs a port")
    if tls_port is not None and not has_certificate:
        raise ValueError("sip_tls_port needs sip_tls_certificate and sip_tls_key")
    if without_tls and not plain_sip:
        raise ValueError(f"sip_plain is false, so {', '.join(without_tls)} needs ;transport=tls")


def refuse_open_fastagi(host: str, peers: Sequence[str] | None) -> None:
    """Refuses a FastAGI listener that other machines can reach unless `peers` names the allowed ones.

    Raises:
        ValueError: `peers` is None and `host` is not a loopback address.
    """
    if peers is None and not is_loopback(host):
        raise ValueError(
            f"other machines can reach fastagi_host {host}: list in fastagi_peers the addresses from "
            "which your Asterisks send requests"
        )
