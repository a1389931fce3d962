"""Says before anything starts which port is taken, and which address is not this machine's."""

import errno
import socket

from engine.config.settings import Settings
from engine.local.processes import StartFailed


def refuse_taken_ports(settings: Settings) -> None:
    """Raises StartFailed."""
    wanted = [
        ("HTTP", settings.http_host, settings.http_port, socket.SOCK_STREAM),
        ("FastAGI", settings.fastagi_host, settings.fastagi_port, socket.SOCK_STREAM),
    ]
    if settings.manage_asterisk:
        wanted.append(("AMI", settings.ami_host, settings.ami_port, socket.SOCK_STREAM))
        if settings.plain_sip:
            wanted.append(("SIP over TCP", settings.sip_host, settings.sip_port, socket.SOCK_STREAM))
            wanted.append(("SIP over UDP", settings.sip_host, settings.sip_port, socket.SOCK_DGRAM))
        if settings.sip_tls_port is not None:
            wanted.append(("SIP over TLS", settings.sip_host, settings.sip_tls_port, socket.SOCK_STREAM))
    for name, host, port, kind in wanted:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1 if kind is socket.SOCK_STREAM else 0)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise StartFailed(f"{name} needs {host}:{port}: {error.strerror}. {_hint(name, error)}") from error


def _hint(name: str, error: OSError) -> str:
    setting = name.partition(" ")[0].upper()
    port = "SIP_TLS" if name == "SIP over TLS" else setting
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"Set RENTED_NUMBERS_{setting}_HOST to an address that this machine has; `ip address` shows them"
    if error.errno == errno.EADDRINUSE:
        return (
            f"Is another one running? RENTED_NUMBERS_{port}_PORT takes another port; for a second system set "
            "RENTED_NUMBERS_DATA_DIR as well"
        )
    return "Every address and port is a setting, see docs/configuration.md"
