"""Writes Kamailio's configuration from the same settings as Asterisk's, with the token by which nodes recognise it."""

import grp
import ipaddress
import os
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from engine.asterisk.config_files import DEPLOY, render
from engine.asterisk.sip_config import UnusableFile, usable_file
from engine.config.secrets import KamailioSecrets
from engine.config.settings import Settings
from engine.config.trunk_settings import DialledNumber
from engine.config.types import bracketed
from engine.domain.errors import RentedNumbersError
from engine.runtime.atomic_file import write_atomically

TEMPLATES = DEPLOY / "kamailio"
# Those of TLS 1.2 that asterisk_conf/own/pjsip_tls.conf has; TLS 1.3 has its own.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
CARRIERS, NODES = 1, 2
# How long a node may try trunks, on top of the time for which the number rings.
TRUNK_SECONDS = 30
# How long a node may ask for a PIN before the number rings: three questions of 30 s, as the dialplan has them.
PIN_SECONDS = 90
# Debian's package makes this group for Kamailio, which runs as a user of the same name.
GROUP = "kamailio"


class KamailioUnusable(RentedNumbersError):
    """Kamailio cannot be configured from these settings; the message says what to change."""


def write_kamailio(settings: Settings, shared: KamailioSecrets, directory: Path) -> list[Path]:
    """Writes kamailio.cfg, its two lists, and tls.cfg where it speaks TLS. Returns the files.

    Raises:
        KamailioUnusable: A setting is missing.
        UnusableFile: A file for TLS cannot be used.
    """
    directory = directory.absolute()
    group = kamailio_group()
    _check(settings, directory)
    texts = {
        "kamailio.cfg": render((TEMPLATES / "kamailio.cfg").read_text(), _values(settings, shared, directory)),
        "dispatcher.list": "".join(f"1 sip:{node} 0 0\n" for node in settings.nodes),
        "address.list": "".join(f"{line}\n" for line in _addresses(settings)),
    }
    if settings.kamailio_tls_port is not None:
        texts["tls.cfg"] = render((TEMPLATES / "tls.cfg").read_text(), _tls_values(settings))
    directory.mkdir(parents=True, exist_ok=True, mode=0o750)
    for name, text in texts.items():
        write_atomically(directory / name, text, 0o640, prepare=partial(_give_to, group))
    return [directory / name for name in texts]


def kamailio_group() -> int | None:
    """Returns the group that Kamailio's files are given, so that it can read them; None: that of whoever writes them.

    Only root can give files to a group that it is not in, and only Kamailio's machine has the group.
    """
    with suppress(KeyError):
        return grp.getgrnam(GROUP).gr_gid if os.geteuid() == 0 else None
    return None


def _give_to(group: int | None, descriptor: int) -> None:
    if group is not None:
        os.fchown(descriptor, -1, group)


def _check(settings: Settings, directory: Path) -> None:
    if settings.kamailio_host is None or not settings.nodes:
        raise KamailioUnusable("set RENTED_NUMBERS_KAMAILIO_HOST and RENTED_NUMBERS_NODES first")
    if not any(trunk.addresses for trunk in settings.trunks_in_use):
        raise KamailioUnusable("no trunk has `addresses`, so no call could come in: list the addresses of its carrier")
    if not str(directory).isprintable() or '"' in str(directory):
        raise KamailioUnusable(
            f"Kamailio cannot read the path {str(directory)!r}: choose one without quotes and control characters"
        )


def _values(settings: Settings, shared: KamailioSecrets, directory: Path) -> dict[str, object]:
    host, ring_seconds = bracketed(str(settings.kamailio_host)), settings.ring_timeout.total_seconds()
    incoming = [trunk for trunk in settings.trunks_in_use if trunk.addresses]
    to = "|".join(trunk.name for trunk in incoming if trunk.dialled_number is DialledNumber.TO)
    return {
        "with_tls": "" if settings.kamailio_tls_port is None else "#!define WITH_TLS",
        "listen": f"{host}:{settings.kamailio_port}",
        "listen_tls": f"{host}:{settings.kamailio_tls_port}",
        "host": host,
        "directory": directory,
        # Without an answer of a node while the number rings, or while the caller keys in a PIN.
        "silence_ms": int((max(ring_seconds, PIN_SECONDS) + TRUNK_SECONDS) * 1000),
        # Until the final answer, whatever comes before it.
        "invite_ms": int((PIN_SECONDS + ring_seconds + TRUNK_SECONDS) * 1000),
        "call_seconds": int(settings.longest_call.total_seconds()) + TRUNK_SECONDS,
        "mask_key": shared.mask_key,
        "token": shared.token,
        "to_trunks": f"^({to})$" if to else "^$",
        "first_trunk": incoming[0].name,
    }


def _tls_values(settings: Settings) -> dict[str, object]:
    if settings.sip_tls_certificate is None or settings.sip_tls_key is None:
        raise KamailioUnusable("kamailio_tls_port needs sip_tls_certificate and sip_tls_key")
    files = {
        "certificate": usable_file("sip_tls_certificate", settings.sip_tls_certificate),
        "key": usable_file("sip_tls_key", settings.sip_tls_key),
        "ca": usable_file("sip_tls_ca", settings.sip_tls_ca),
    }
    for path in files.values():
        if '"' in str(path):
            raise UnusableFile(f"{str(path)!r} cannot stand in Kamailio's files")
    return {
        **files,
        "ciphers": CIPHERS,
        "client_certificate": "yes" if settings.sip_tls_client_certificate else "no",
    }


def _addresses(settings: Settings) -> Iterator[str]:
    """Yields the lines of address.list: group, address, mask, port (0: any) and tag."""
    for trunk in settings.trunks_in_use:
        for network in map(ipaddress.ip_network, trunk.addresses):
            yield f"{CARRIERS} {network.network_address} {network.prefixlen} 0 {trunk.name}"
    for node in settings.nodes:
        yield f"{NODES} {node.rpartition(':')[0].strip('[]')}"
