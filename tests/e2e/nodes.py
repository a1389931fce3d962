"""Engines that share a PostgreSQL database: a second engine at one Asterisk, and a second Asterisk with its engine."""

import shutil
from typing import Any

from engine.config.settings import Settings
from tests.e2e.environment import environ
from tests.e2e.system import System


class SecondNode(System):
    """Another Asterisk with its engine, on the database of a first system."""

    def __init__(self, first: System, **overrides: Any) -> None:
        super().__init__(**overrides)
        self._first = first

    def start(self) -> None:
        # One database has one pepper, with which all engines know its API keys.
        directory = self.data_dir / "secrets"
        directory.mkdir(mode=0o700)
        shutil.copy(self._first.data_dir / "secrets" / "key_pepper", directory)
        super().start()


class SecondEngine(System):
    """Another engine at the Asterisk of a first system, on its database."""

    def __init__(self, first: System, **overrides: Any) -> None:
        theirs: dict[str, Any] = {
            "ami_port": first.settings.ami_port,
            "sip_port": first.settings.sip_port,
            "trunk_uri": f"sip:127.0.0.1:{first.trunk_port}",
            "journal_dir": first.settings.journal,
        }
        super().__init__(**theirs | overrides)
        self._first = first

    def start(self) -> None:
        with environ(self._environment):
            self.settings = Settings()
        shutil.copytree(self._first.data_dir / "secrets", self.data_dir / "secrets")
        self.key = self._first.key
        self.begin()

    def begin(self) -> None:
        self.start_engine()
        self.up.append(self)
        self.wait_ready()


class StrangeEngine(SecondEngine):
    """An engine with the Asterisk of a second node, and with a copy of the first one's token."""

    def __init__(self, first: System, second: System, **overrides: Any) -> None:
        super().__init__(first, ami_port=second.settings.ami_port, journal_dir=second.settings.journal, **overrides)
        self._second = second

    def begin(self) -> None:
        shutil.copy(self._second.data_dir / "secrets" / "ami_secret", self.data_dir / "secrets")
        self.start_engine()
        self.up.append(self)
