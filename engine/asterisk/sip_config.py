"""The SIP part of Asterisk's configuration: transports, addresses that may send requests, and media."""

import ipaddress
from collections.abc import Iterator
from pathlib import Path

from engine.config.settings import Settings
from engine.config.types import MediaEncryption, Profile
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
        "acl_permits": "\n".join(f"permit = {network}" for network in known_addresses(settings)),
        **_tls_values(settings),
    }


def encryption(settings: Settings) -> str:
    """Returns the encryption options of the carrier's and the trunk's endpoints.

    Never "optimistic": media would silently fall back to unencrypted.
    """
    if settings.media_encryption is MediaEncryption.NONE:
        return ""
    return f"media_encryption = {settings.media_encryption}\nmedia_encryption_optimistic = no"


def media_address(settings: Settings) -> str:
    """Returns options that bind media to the SIP address, unless SIP listens on all addresses."""
    if ipaddress.ip_address(settings.sip_host).is_unspecified:
        return ""
    return f"media_address = {settings.sip_host}\nbind_rtp_to_media_address = yes"


def bracketed(host: str) -> str:
    """Returns a host as it stands in a URI: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def known_addresses(settings: Settings) -> list[str]:
    """Returns the networks that may send SIP requests; empty for any, where they cannot be known in advance.

    The demo's softphones may connect from anywhere. A trunk given by name may use any address that the name resolves
    to; if a BYE from the hidden number's side were refused, the call would be charged until its limit.
    """
    host = trunk_host(settings.trunk_uri)
    try:
        trunk = ipaddress.ip_network(host)
    except ValueError:
        return []
    if settings.profile is Profile.DEMO:
        return []
    return list(dict.fromkeys([*settings.carrier_addresses, str(trunk)]))


def trunk_host(uri: str) -> str:
    """Returns the host of a SIP URI: `2001:db8::1` for `sip:[2001:db8::1]:5060;transport=tcp`."""
    address = uri.partition(":")[2].partition(";")[0]
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0]


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
        "sip_tls_client_certificate": "yes" if settings.sip_tls_client_certificate else "no",
        **{name: _usable(name, path) if on and path is not None else "" for name, path in files.items()},
    }


def _usable(name: str, path: Path) -> Path:
    """Checks a file, because Asterisk would start without the transport and only log that. Raises UnusableFile."""
    path = path.absolute()
    if not str(path).isprintable() or ";" in str(path):
        raise UnusableFile(f"{name}: {str(path)!r} cannot stand in Asterisk's files")
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


def trunk_identify(settings: Settings) -> str:
    """Returns the section by which Asterisk identifies requests from the trunk; empty where none is needed.

    Asterisk logs requests from unknown sources with the caller's number in them, and in requests from the trunk that is
    the hidden number. No section is written if the carrier's addresses include the trunk's, nor for a trunk given by
    name, which Asterisk would resolve only when it starts.
    """
    try:
        address = ipaddress.ip_address(trunk_host(settings.trunk_uri))
    except ValueError:
        return ""
    if any(address in ipaddress.ip_network(each) for each in settings.carrier_addresses):
        return ""
    return f"[trunk]\ntype = identify\nendpoint = trunk\nmatch = {address}"
