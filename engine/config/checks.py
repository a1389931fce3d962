"""Settings that are too small to be of use, cannot be had together, or are of use together only."""

from datetime import timedelta
from itertools import combinations
from typing import TYPE_CHECKING

from engine.config.types import MediaEncryption, is_loopback

if TYPE_CHECKING:
    from engine.config.settings import Settings


def refuse_too_small(settings: "Settings") -> None:
    """Raises ValueError."""
    if settings.rtp_end - settings.rtp_start < 10:
        raise ValueError("rtp_end must lie at least 10 above rtp_start")
    if settings.longest_call < timedelta(seconds=1) or settings.ring_timeout < timedelta(seconds=1):
        raise ValueError("longest_call and ring_timeout must be at least one second")
    if settings.low_seconds < timedelta(seconds=1) or settings.expired_callbacks_window < timedelta(seconds=1):
        raise ValueError("low_seconds and expired_callbacks_window must be at least one second")
    if settings.cdr_retention < timedelta(hours=1):
        raise ValueError("cdr_retention must be at least an hour: a caller's calls of the last one are counted")


def refuse_shared_ports(settings: "Settings") -> None:
    """Raises ValueError that names two settings which cannot both be had."""
    listeners = [
        ("http_port", settings.http_host, settings.http_port),
        ("fastagi_port", settings.fastagi_host, settings.fastagi_port),
    ]
    if settings.manage_asterisk:
        listeners += [
            ("ami_port", settings.ami_host, settings.ami_port),
            ("sip_port", settings.sip_host, settings.sip_port),
        ]
        if settings.rtp_start <= settings.sip_port <= settings.rtp_end:
            raise ValueError(f"sip_port {settings.sip_port} lies between rtp_start and rtp_end: choose another")
        if settings.sip_tls_port is not None:
            listeners.append(("sip_tls_port", settings.sip_host, settings.sip_tls_port))
    for (name, host, port), (other, other_host, other_port) in combinations(listeners, 2):
        if port == other_port and (host == other_host or not {host, other_host}.isdisjoint(("0.0.0.0", "::"))):  # noqa: S104  compared, not bound
            raise ValueError(f"{name} and {other} are both {port}: choose another for one of them")


def refuse_half_of_tls(settings: "Settings") -> None:
    """Raises ValueError for settings by which nothing could be said, or something in the clear."""
    if settings.media_encryption is not MediaEncryption.NONE and not settings.trunk_over_tls:
        raise ValueError("media_encryption: trunk_uri must say ;transport=tls, or the keys would be sent in the clear")
    if not settings.manage_asterisk:
        return  # the transports are those of the Asterisk that is there
    if settings.sip_tls_port is None and (settings.trunk_over_tls or not settings.plain_sip):
        raise ValueError("sip_tls_port must be set: there is no other way to speak SIP over TLS")
    if settings.sip_tls_port is not None and (settings.sip_tls_certificate is None or settings.sip_tls_key is None):
        raise ValueError("sip_tls_port needs sip_tls_certificate and sip_tls_key")
    if not settings.plain_sip and not settings.trunk_over_tls:
        raise ValueError("sip_plain is false, and so trunk_uri must say ;transport=tls")


def refuse_unknown_peers(settings: "Settings") -> None:
    """Raises ValueError where other machines could ask about calls and it is not said which may."""
    if settings.fastagi_peers is None and not is_loopback(settings.fastagi_host):
        raise ValueError(
            f"other machines can reach fastagi_host {settings.fastagi_host}: list in fastagi_peers the addresses from "
            "which your Asterisks ask"
        )
