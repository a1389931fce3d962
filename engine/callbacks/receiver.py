"""Receivers of callbacks, and what is known about them when a callback is queued."""

from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import urlsplit

from engine.domain.pacing import NOT_PACED
from engine.domain.times import EpochMs


class Receiver(NamedTuple):
    """Where callbacks are sent to.

    Attributes:
        scheme: `https`, or `http` in the demo.
        host: The URL's host; empty if the URL cannot be parsed.
        port: The URL's port, or the default port of its scheme; None if the URL cannot be parsed.
    """

    scheme: str
    host: str
    port: int | None

    @property
    def digest(self) -> str:
        """What the database knows the receiver by. A host name can contain a number, which must be erasable."""
        return sha256(f"{self.scheme}://{self.host}:{self.port}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class KnownReceiver:
    """What the database knows about a receiver.

    Attributes:
        has_agreed: Whether it has answered a callback with 2xx.
        paced_until: See engine/domain/pacing.py.
        is_quick: Whether the account's last attempt to the callback's URL brought a prompt 2xx; None: there was none.
    """

    has_agreed: bool = False
    paced_until: EpochMs = NOT_PACED
    is_quick: bool | None = None


NOTHING_KNOWN = KnownReceiver()


def receiver_of(url: str) -> Receiver:
    """Returns the receiver that a URL points to."""
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:
        return Receiver("", "", None)
    # A name with and without its final dot is one host.
    host = (split.hostname or "").removesuffix(".")
    return Receiver(split.scheme, host, port or (443 if split.scheme == "https" else 80))
