"""A node of the cluster: an Asterisk with its engine, from a settings file of its own."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.asterisk.config_files import find_program, write_own
from engine.config.secrets import agi_tokens, asterisk_names
from engine.config.settings import Settings
from engine.config.sources import CONFIG_VARIABLE, PREFIX
from engine.local.ports import refuse_taken_ports
from engine.local.processes import Child, LocalAsterisk, engine_command
from engine.local.setup import set_up

# All nodes on a database know its API keys, and recognise Kamailio.
SHARED_SECRETS = ("key_pepper", "kamailio_key")
PARTS = ("engine", "asterisk")


class Node:
    """A node. It is prepared once; then its two parts can be started, stopped and killed again and again.

    Attributes:
        name: Its name.
        settings: Its settings.
        config: The file with its settings.
        engine: The process of its engine; None before the first start.
    """

    def __init__(
        self, name: str, directory: Path, values: Mapping[str, object], environment: Mapping[str, str] | None = None
    ) -> None:
        """Writes its settings.

        Args:
            name: Its name.
            directory: Where its settings, data and logs are.
            values: Its settings, by their names.
            environment: Further environment variables.
        """
        self.name = name
        self.config = directory / f"{name}.toml"
        self.config.write_text(toml({"data_dir": str(directory / name), **values}))
        self._log = directory / f"{name}.log"
        self._environment = environment or {}
        self._runner = asyncio.Runner()
        self._asterisk: LocalAsterisk | None = None
        self.engine: Child | None = None
        with settings_of(self.config):
            self.settings = Settings()

    def prepare(self, first: "Node | None") -> None:
        """Makes its secrets and its Asterisk's files.

        Args:
            first: The node whose secrets it shares; None for the first one, which makes the database's tables.
        """
        refuse_taken_ports(self.settings)
        if first is not None:
            secrets = self.settings.data_dir / "secrets"
            secrets.mkdir(parents=True, mode=0o700)
            for name in SHARED_SECRETS:
                shutil.copy(first.settings.data_dir / "secrets" / name, secrets)
        program = find_program()
        with settings_of(self.config, self._environment):
            kept = set_up(self.settings, lambda _: None)
            self._asterisk = LocalAsterisk(program, write_own(self.settings, kept, program))

    @property
    def sip(self) -> str:
        """Where its Asterisk takes calls, as Kamailio names it."""
        return f"{self.settings.sip_host}:{self.settings.sip_port}"

    @property
    def asterisk_name(self) -> str:
        """The name by which all engines know its Asterisk."""
        return asterisk_name(self.settings)

    @property
    def asterisk(self) -> Child | None:
        """The process of its Asterisk; None before the first start."""
        return self._asterisk.child if self._asterisk else None

    @property
    def log(self) -> str:
        """What its engine has logged."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start_engine(self) -> None:
        """Starts its engine. Does not wait until it is ready."""
        environment = {**engine_environment(self.config), **self._environment}
        self.engine = self._runner.run(Child.start("engine", engine_command(), self._log, environment))

    def start_asterisk(self) -> None:
        """Starts its Asterisk, and waits until it takes calls."""
        assert self._asterisk is not None
        self._runner.run(self._asterisk.start())

    def stop_engine(self) -> None:
        """Stops its engine with SIGTERM, and waits for its end."""
        if self.engine is not None:
            self._runner.run(self.engine.stop())

    def running(self, part: str) -> bool:
        """Whether its `engine` or its `asterisk` runs."""
        # The loop notices the end of a process only when it runs.
        self._runner.run(asyncio.sleep(0))
        child = self.engine if part == "engine" else self.asterisk
        return child is not None and child.running

    def pid(self, part: str) -> int | None:
        """The process id of its `engine` or its `asterisk`; None before the first start."""
        child = self.engine if part == "engine" else self.asterisk
        return child.pid if child else None

    def start(self, part: str) -> None:
        """Starts its `engine` or its `asterisk`."""
        if part == "engine":
            self.start_engine()
        else:
            self.start_asterisk()

    def signal(self, part: str, number: signal.Signals) -> None:
        """Sends a signal to its `engine` or its `asterisk`. Waits for the end if that is SIGKILL."""
        child = self.engine if part == "engine" else self.asterisk
        if child is None or not self.running(part):
            return
        os.kill(child.pid, number)
        if number is signal.SIGKILL:
            self._runner.run(child.wait())

    def close(self) -> None:
        """Ends its parts: the calls first, so that the engine settles them."""
        try:
            for part in PARTS:
                self.signal(part, signal.SIGCONT)
            if self._asterisk is not None:
                self._runner.run(self._asterisk.end_calls())
            self.stop_engine()
            if self._asterisk is not None:
                self._runner.run(self._asterisk.terminate())
        finally:
            self._runner.close()

    def command(self, *words: str) -> Any:  # noqa: ANN401  JSON
        """Runs a command of `rented-numbers` on this node, and returns its JSON output."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "engine", *words, "--json"],
            env=engine_environment(self.config),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return json.loads(done.stdout)


def asterisk_name(settings: Settings) -> str:
    """Returns the name by which all engines know the Asterisk of these settings."""
    first, *_ = agi_tokens(settings.data_dir / "secrets")
    return asterisk_names([first])[first]


def engine_environment(config: Path) -> dict[str, str]:
    """Returns this process's environment, with a node's settings in place of its own."""
    others = {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}
    return {**others, CONFIG_VARIABLE: str(config)}


@contextmanager
def settings_of(config: Path, more: Mapping[str, str] | None = None) -> Iterator[None]:
    """Inside its `with`, `Settings()` reads the settings of a node, and further environment variables are set."""
    before, inside = dict(os.environ), {**engine_environment(config), **(more or {})}
    os.environ.clear()
    os.environ.update(inside)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def toml(values: Mapping[str, object]) -> str:
    """Returns settings as a TOML file has them."""
    return "".join(f"{name} = {_value(value)}\n" for name, value in values.items())


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} = {_value(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value)
