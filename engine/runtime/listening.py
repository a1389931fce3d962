"""Opens the sockets on which the engine listens."""

import os
import socket

from engine.domain.errors import RentedNumbersError


class CannotListen(RentedNumbersError):
    """An address cannot be listened on. The message names it."""


def listen(host: str, port: int) -> socket.socket:
    """Opens a listening TCP socket.

    Raises:
        CannotListen: The port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), backlog=1024, family=family)
    except socket.gaierror as error:
        raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror}") from None
    except OSError as error:
        # Not `error.strerror`: create_server writes the address into it too.
        raise CannotListen(f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}") from None
