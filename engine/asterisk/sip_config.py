"""What Asterisk's files say of SIP itself: which transports there are, who may speak to us, how sound travels."""

import ipaddress
from collections.abc import Iterator
from pathlib import Path

from engine.config.settings import Settings
from engine.config.types import MediaEncryption, Profile
from engine.domain.errors import RentedNumbersError


class UnusableFile(RentedNumbersError):
    """A certificate, key or list of CAs cannot be used; the message names the setting."""


def sip_values(settings: Settings) -> dict[str, object]:
    """For the files of our own Asterisk. Raises UnusableFile."""
    return {
        "sip_host": bracketed(settings.sip_host),
        "sip_port": settings.sip_port,
        "transports": "".join(f'#include "{name}"\n' for name in _included(settings)),
        "acl_permits": "\n".join(f"permit = {network}" for network in known_addresses(settings)),
        **_tls_values(settings),
    }


def encryption(settings: Settings) -> str:
    """Options of the carrier's and the trunk's endpoints. Never optimistic: sound would fall back to the clear."""
    if settings.media_encryption is MediaEncryption.NONE:
        return ""
    return f"media_encryption = {settings.media_encryption}\nmedia_encryption_optimistic = no"


def media_address(settings: Settings) -> str:
    """Sound leaves from the address where SIP is spoken, unless that is every address."""
    if ipaddress.ip_address(settings.sip_host).is_unspecified:
        return ""
    return f"media_address = {settings.sip_host}\nbind_rtp_to_media_address = yes"


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def known_addresses(settings: Settings) -> list[str]:
    """Who may send us requests; empty: anybody, because it cannot be known beforehand.

    Softphones of the demo may come from anywhere. A trunk by name may answer from any address that the name has, and
    a BYE of the hidden number that is refused would bill on.
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
    """`sip:[2001:db8::1]:5060;transport=tcp` → `2001:db8::1`"""
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
    """Without TLS the file is written too, and not included."""
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
    """Asterisk would start without the transport, and say so in its log alone. Raises UnusableFile."""
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
        raise UnusableFile(f"{name}: {path} can be read by anybody: chmod 600 it")
    return path


def trunk_identify(settings: Settings) -> str:
    """Makes requests from the trunk known, so that Asterisk does not log them as a stranger's, with the number that the
    stranger says it is: the trunk says the hidden one. Not where they are the carrier's anyway, nor for a name, which
    Asterisk would look up only as it starts."""
    host = settings.trunk_uri.partition(":")[2].partition(";")[0]
    host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ""
    if any(address in ipaddress.ip_network(each) for each in settings.carrier_addresses):
        return ""
    return f"[trunk]\ntype = identify\nendpoint = trunk\nmatch = {address}"
