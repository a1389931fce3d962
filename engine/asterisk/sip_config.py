"""The SIP part of Asterisk's configuration: transports, addresses that may send requests, and media."""

import ipaddress
from collections.abc import Iterator
from pathlib import Path

from engine.config.settings import Settings
from engine.config.types import Profile, bracketed
from engine.domain.errors import RentedNumbersError


class UnusableFile(RentedNumbersError):
    """A certificate, a key or a list of CAs cannot be used; the message names the setting."""


def sip_values(settings: Settings) -> dict[str, object]:
    """Returns the SIP values for the files of our own Asterisk.

    Raises:
        UnusableFile: A file for TLS cannot be used.
    """
    return {
        "sip_host": bracketed(settings.sip_host),
        "sip_port": settings.sip_port,
        "transports": "".join(f'#include "{name}"\n' for name in _included(settings)),
        "nat": _nat(settings),
        "more_plain": _other_family(settings, {"udp": settings.sip_port, "tcp": settings.sip_port}),
        "acl_permits": "\n".join(f"permit = {network}" for network in known_addresses(settings)),
        **_tls_values(settings),
    }


def _nat(settings: Settings) -> str:
    """Returns the options of a transport behind a router that translates addresses."""
    if settings.external_address is None:
        return ""
    lines = [f"external_{each}_address = {settings.external_address}" for each in ("signaling", "media")]
    return "\n".join([*lines, *(f"local_net = {each}" for each in settings.local_networks)])


def _other_family(settings: Settings, ports: dict[str, int]) -> str:
    """Returns transports like those named, for IPv6 where they are for IPv4, or the reverse, if a trunk needs them.

    Asterisk sends to an address of one kind only from a transport of that kind.
    """
    ours = ipaddress.ip_address(settings.sip_host)
    theirs = {each.next_address.version for each in settings.trunks_in_use if each.next_address is not None}
    theirs |= {ipaddress.ip_network(each).version for trunk in settings.trunks_in_use for each in trunk.addresses}
    if not ours.is_unspecified or theirs <= {ours.version}:
        return ""
    host = "0.0.0.0" if isinstance(ours, ipaddress.IPv6Address) else "[::]"  # noqa: S104  as the operator chose
    return "\n".join(
        f"[{name}-other-family](sip-{name})\nprotocol = {name}\nbind = {host}:{port}" for name, port in ports.items()
    )


def media_address(settings: Settings) -> str:
    """Returns options that bind media to the SIP address, unless SIP listens on all addresses."""
    if ipaddress.ip_address(settings.sip_host).is_unspecified:
        return ""
    return f"media_address = {settings.sip_host}\nbind_rtp_to_media_address = yes"


def known_addresses(settings: Settings) -> list[str]:
    """Returns the networks that may send SIP requests; empty for any, where they cannot be known in advance.

    The demo's softphones may connect from anywhere. A trunk or a proxy given by name may use any address that the name
    resolves to; if a BYE from the hidden number's side were refused, the call would be charged until its limit.
    A registration adds no address: the calls that come in over it come from the registrar or its proxy.
    """
    if settings.profile is Profile.DEMO:
        return []
    networks = [] if settings.kamailio_host is None else [settings.kamailio_host]
    for trunk in settings.trunks_in_use:
        try:
            hosts = [str(ipaddress.ip_network(host)) for host in trunk.hosts]
        except ValueError:
            return []
        networks += [*trunk.addresses, *hosts]
    return list(dict.fromkeys(networks))


def _included(settings: Settings) -> Iterator[str]:
    if settings.plain_sip:
        yield "pjsip_plain.conf"
    if settings.sip_tls_port is not None:
        yield "pjsip_tls.conf"
    if known_addresses(settings):
        yield "pjsip_acl.conf"


def _tls_values(settings: Settings) -> dict[str, object]:
    """Returns the values of pjsip_tls.conf, which is also written without TLS, but then not included."""
    files = {
        "sip_tls_certificate": settings.sip_tls_certificate,
        "sip_tls_key": settings.sip_tls_key,
        "sip_tls_ca": settings.sip_tls_ca,
    }
    on = settings.sip_tls_port is not None
    return {
        "sip_tls_port": settings.sip_tls_port or "",
        "more_tls": _other_family(settings, {"tls": settings.sip_tls_port}) if settings.sip_tls_port else "",
        "sip_tls_client_certificate": "yes" if settings.sip_tls_client_certificate else "no",
        **{name: usable_file(name, path) if on and path is not None else "" for name, path in files.items()},
    }


def usable_file(name: str, path: Path) -> Path:
    """Checks a file, because Asterisk would start without the transport and only log that.

    Args:
        name: The setting that names the file.
        path: The file.

    Raises:
        UnusableFile: It cannot be used.
    """
    path = path.absolute()
    if not str(path).isprintable() or ";" in str(path):
        raise UnusableFile(f"{name}: {str(path)!r} cannot stand in a configuration file")
    try:
        with path.open("rb") as file:
            text = file.read()
    except OSError as error:
        raise UnusableFile(f"{name}: {path}: {error.strerror}") from error
    if b"-----BEGIN " not in text:
        raise UnusableFile(f"{name}: {path} is no PEM file")
    if name == "sip_tls_key" and path.stat().st_mode & 0o007:
        raise UnusableFile(f"{name}: {path} can be read by anybody: run chmod 600 on it")
    return path
