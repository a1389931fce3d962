"""Checks before a start that every address and port can be used, and names the setting that changes one."""

import errno
import socket
from collections.abc import Iterator
from typing import NamedTuple

from engine.config.settings import Settings
from engine.config.sources import PREFIX
from engine.local.processes import StartFailed


class _Listener(NamedTuple):
    name: str
    host: str
    port: int
    kind: socket.SocketKind


def refuse_taken_ports(settings: Settings) -> None:
    """Binds and releases every address that the system will listen on.

    Raises:
        StartFailed: A port is taken, or an address does not belong to this machine.
    """
    for listener in _listeners(settings):
        family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
        with socket.socket(family, listener.kind) as probe:
            reuse = listener.kind is socket.SOCK_STREAM
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1 if reuse else 0)
            try:
                probe.bind((listener.host, listener.port))
            except OSError as error:
                address = f"{listener.host}:{listener.port}"
                raise StartFailed(
                    f"{listener.name} needs {address}: {error.strerror}. {_hint(listener.name, error)}"
                ) from error


def _listeners(settings: Settings) -> Iterator[_Listener]:
    yield _Listener("HTTP", settings.http_host, settings.http_port, socket.SOCK_STREAM)
    yield _Listener("FastAGI", settings.fastagi_host, settings.fastagi_port, socket.SOCK_STREAM)
    if settings.metrics_listener is not None:
        yield _Listener("Metrics", *settings.metrics_listener, socket.SOCK_STREAM)
    if not settings.manage_asterisk:
        return
    yield _Listener("AMI", settings.ami_host, settings.ami_port, socket.SOCK_STREAM)
    if settings.has_browser_phone:
        yield _Listener("Browser phone", "127.0.0.1", settings.browser_phone_port, socket.SOCK_STREAM)
    if settings.plain_sip:
        yield _Listener("SIP over TCP", settings.sip_host, settings.sip_port, socket.SOCK_STREAM)
        yield _Listener("SIP over UDP", settings.sip_host, settings.sip_port, socket.SOCK_DGRAM)
    if settings.sip_tls_port is not None:
        yield _Listener("SIP over TLS", settings.sip_host, settings.sip_tls_port, socket.SOCK_STREAM)


def _hint(name: str, error: OSError) -> str:
    host, port = _setting_names(name)
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"Set {host} to an address that this machine has; `ip address` lists them"
    if error.errno == errno.EADDRINUSE:
        return (
            f"Is another system running? {port} sets another port; for a second system set "
            "RENTED_NUMBERS_DATA_DIR as well"
        )
    return f"{host} and {port} set another address and port" if host != port else f"{host} sets another address"


def _setting_names(name: str) -> tuple[str, str]:
    """Returns the settings of a listener's host and port."""
    if name == "Metrics":
        return f"{PREFIX}METRICS_ADDRESS", f"{PREFIX}METRICS_ADDRESS"
    if name == "Browser phone":
        return f"{PREFIX}BROWSER_PHONE_PORT", f"{PREFIX}BROWSER_PHONE_PORT"
    setting = name.partition(" ")[0].upper()
    port = "SIP_TLS" if name == "SIP over TLS" else setting
    return f"{PREFIX}{setting}_HOST", f"{PREFIX}{port}_PORT"
