"""The real Kamailio for tests, in a directory of its own."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.kamailio import Kamailio
from engine.config.secrets import KamailioSecrets
from engine.config.settings import Settings

SHARED = KamailioSecrets("a key that masks", "0123456789abcdef")


@contextmanager
def configured(settings: Settings, shared: KamailioSecrets = SHARED) -> Iterator[Kamailio]:
    """Writes Kamailio's files, and ends it afterwards if it was started."""
    directory = Path(tempfile.mkdtemp(prefix="rk-"))
    try:
        kamailio = Kamailio(settings, shared, directory)
        try:
            yield kamailio
        finally:
            kamailio.kill()
    finally:
        shutil.rmtree(directory)


@contextmanager
def kamailio_of(settings: Settings, shared: KamailioSecrets = SHARED) -> Iterator[Kamailio]:
    """Runs Kamailio with these settings."""
    with configured(settings, shared) as kamailio:
        kamailio.start()
        yield kamailio
