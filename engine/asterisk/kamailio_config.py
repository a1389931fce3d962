"""Writes Kamailio's configuration from the same settings as Asterisk's, with the token by which nodes recognise it."""

import ipaddress
from collections.abc import Iterator
from pathlib import Path

from engine.asterisk.config_files import DEPLOY, render
from engine.config.secrets import KamailioSecrets
from engine.config.settings import Settings
from engine.config.trunk_settings import DialledNumber
from engine.config.types import bracketed
from engine.domain.errors import RentedNumbersError
from engine.runtime.atomic_file import write_atomically

TEMPLATE = DEPLOY / "kamailio" / "kamailio.cfg"
CARRIERS, NODES = 1, 2
# How long a node may try trunks, on top of the time for which the number rings.
TRUNK_SECONDS = 30


class KamailioUnusable(RentedNumbersError):
    """Kamailio cannot be configured from these settings; the message says what to change."""


def write_kamailio(settings: Settings, shared: KamailioSecrets, directory: Path) -> list[Path]:
    """Writes kamailio.cfg and its two lists. Returns the files.

    Raises:
        KamailioUnusable: A setting is missing.
    """
    directory = directory.absolute()
    _check(settings, directory)
    directory.mkdir(parents=True, exist_ok=True, mode=0o750)
    texts = {
        "kamailio.cfg": render(TEMPLATE.read_text(), _values(settings, shared, directory)),
        "dispatcher.list": "".join(f"1 sip:{node} 0 0\n" for node in settings.nodes),
        "address.list": "".join(f"{line}\n" for line in _addresses(settings)),
    }
    for name, text in texts.items():
        write_atomically(directory / name, text, 0o640)
    return [directory / name for name in texts]


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
    host = bracketed(str(settings.kamailio_host))
    incoming = [trunk for trunk in settings.trunks_in_use if trunk.addresses]
    to = "|".join(trunk.name for trunk in incoming if trunk.dialled_number is DialledNumber.TO)
    return {
        "listen": f"{host}:{settings.kamailio_port}",
        "host": host,
        "directory": directory,
        "ring_ms": int((settings.ring_timeout.total_seconds() + TRUNK_SECONDS) * 1000),
        "mask_key": shared.mask_key,
        "token": shared.token,
        "to_trunks": f"^({to})$" if to else "^$",
        "first_trunk": incoming[0].name,
    }


def _addresses(settings: Settings) -> Iterator[str]:
    """Yields the lines of address.list: group, address, mask, port (0: any) and tag."""
    for trunk in settings.trunks_in_use:
        for network in map(ipaddress.ip_network, trunk.addresses):
            yield f"{CARRIERS} {network.network_address} {network.prefixlen} 0 {trunk.name}"
    for node in settings.nodes:
        yield f"{NODES} {node.rpartition(':')[0].strip('[]')}"
