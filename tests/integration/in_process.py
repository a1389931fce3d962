"""The command line without a process of its own, for tests that run many commands: a process costs half a second."""

import subprocess

from typer.testing import CliRunner

from engine.cli import app
from engine.cli.errors import EXPECTED, messages_of
from tests.integration.test_cli import Cli


class CliHere(Cli):
    """Told by arguments and environment only, like its base; `typed`: what is answered to its questions."""

    typed = ""

    def __call__(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        environment = self.settings(data_dir=str(self.data), **settings)
        done = CliRunner().invoke(app, list(arguments), input=self.typed, env=environment)
        said = done.stderr
        if isinstance(done.exception, EXPECTED):  # as `engine.cli.main` has it
            said += "".join(f"rented-numbers: {line}\n" for line in messages_of(done.exception))
        elif not isinstance(done.exception, SystemExit | None):
            raise done.exception
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, said)
