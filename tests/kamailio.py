"""The real Kamailio, which deploy/tools.sh brings, with the configuration that we ship."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.asterisk.kamailio_config import write_kamailio
from engine.config.secrets import KamailioSecrets
from engine.config.settings import Settings

TOOLS = Path(__file__).resolve().parents[1] / ".tools"
PROGRAM = TOOLS / "bin" / "kamailio"
KAMCMD = TOOLS / "bin" / "kamcmd"
SHARED = KamailioSecrets("a key that masks", "0123456789abcdef")
START_SECONDS = 20.0
_STATE = re.compile(r"URI: sip:(\S+)\s+FLAGS: (\w+)")


class Kamailio:
    """A running Kamailio. The kernel ends it together with this process.

    Attributes:
        address: Its address and port.
    """

    def __init__(self, settings: Settings, shared: KamailioSecrets = SHARED) -> None:
        self.address = (str(settings.kamailio_host), settings.kamailio_port)
        # A short path, because the path of its control socket is limited.
        self.directory = Path(tempfile.mkdtemp(prefix="rk-"))
        write_kamailio(settings, shared, self.directory)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def _options(self) -> list[str]:
        [modules] = (TOOLS / "kamailio-tree").glob("usr/lib/*/kamailio/modules")
        return ["-f", str(self.directory / "kamailio.cfg"), "-L", str(modules), "-Y", str(self.directory)]

    def check(self) -> subprocess.CompletedProcess[str]:
        """Lets Kamailio check its configuration."""
        return subprocess.run([PROGRAM, "-c", *self._options], capture_output=True, text=True, timeout=30, check=False)

    def start(self) -> None:
        # -m, -M: megabytes of memory; the default for each process is more than a test needs.
        setpriv = shutil.which("setpriv")
        bound = [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
        command = [*bound, str(PROGRAM), "-DD", "-E", "-m", "32", "-M", "4", *self._options]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while self._kamcmd("core.version").returncode:
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)

    def kill(self) -> None:
        """Kills all its processes with SIGKILL."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
            self._process = None

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.directory)

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def command(self, *words: str) -> str:
        """Gives it a command, as an operator does."""
        done = self._kamcmd(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _kamcmd(self, *words: str) -> subprocess.CompletedProcess[str]:
        socket = f"unix:{self.directory}/kamailio_ctl"
        return subprocess.run([KAMCMD, "-s", socket, *words], capture_output=True, text=True, timeout=10, check=False)

    def states(self) -> dict[str, str]:
        """The flags of each node: AP is up, IP is down, DX is drained."""
        return dict(_STATE.findall(self.command("dispatcher.list")))

    def wait_for(self, node: str, flags: str, seconds: float = START_SECONDS) -> float:
        """Waits until a node has these flags. Returns for how long."""
        began = time.monotonic()
        while self.states().get(node) != flags:
            assert time.monotonic() - began < seconds, f"{node} is not {flags}: {self.states()}\n{self.log[-3000:]}"
            time.sleep(0.05)
        return time.monotonic() - began


@contextmanager
def kamailio_of(settings: Settings, shared: KamailioSecrets = SHARED) -> Iterator[Kamailio]:
    """Runs Kamailio with these settings."""
    kamailio = Kamailio(settings, shared)
    try:
        kamailio.start()
        yield kamailio
    finally:
        kamailio.remove()
