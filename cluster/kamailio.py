"""The real Kamailio, which deploy/tools.sh brings, with the configuration that we ship."""

import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

from cluster.errors import ClusterFailed
from engine.asterisk.kamailio_config import write_kamailio
from engine.config.secrets import KamailioSecrets
from engine.config.settings import Settings

TOOLS = Path(__file__).resolve().parents[1] / ".tools"
PROGRAM = TOOLS / "bin" / "kamailio"
KAMCMD = TOOLS / "bin" / "kamcmd"
START_SECONDS = 20.0
_STATE = re.compile(r"URI: sip:(\S+)\s+FLAGS: (\w+)")


def kamcmd(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs Kamailio's command line on the Kamailio in this directory."""
    socket = f"unix:{directory}/kamailio_ctl"
    return subprocess.run([KAMCMD, "-s", socket, *words], capture_output=True, text=True, timeout=10, check=False)


def commanded(directory: Path, *words: str) -> str:
    """Gives the Kamailio in this directory a command. Returns what it answers."""
    done = kamcmd(directory, *words)
    if done.returncode:
        raise ClusterFailed(f"kamcmd {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def _group_of(process: psutil.Process) -> int | None:
    """The process group of a process; None if it has ended."""
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return None


def _is_alive(process: psutil.Process) -> bool:
    """Whether a process has not ended. One that nobody has waited for yet has no ports any more."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class Kamailio:
    """A running Kamailio. The kernel ends it together with this process.

    Attributes:
        address: Its address and port.
        tls_address: Its address and port for TLS; port 0 if it has none.
        directory: Its configuration, its log and its control socket, whose path is limited.
    """

    def __init__(self, settings: Settings, shared: KamailioSecrets, directory: Path) -> None:
        self.address = (str(settings.kamailio_host), settings.kamailio_port)
        self.tls_address = (str(settings.kamailio_host), settings.kamailio_tls_port or 0)
        self.directory = directory
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
        """Starts it, and waits until it answers."""
        # -m, -M: megabytes of memory; the default for each process is more than it needs here.
        setpriv = shutil.which("setpriv")
        bound = [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
        command = [*bound, str(PROGRAM), "-DD", "-E", "-m", "32", "-M", "4", *self._options]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while kamcmd(self.directory, "core.version").returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ClusterFailed(f"Kamailio does not start:\n{self.log[-3000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """Kills all its processes with SIGKILL, and waits until they have left its ports."""
        if self._process is not None:
            group = [each for each in psutil.process_iter() if _group_of(each) == self._process.pid]
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
            self._process = None
            deadline = time.monotonic() + START_SECONDS
            while any(_is_alive(each) for each in group) and time.monotonic() < deadline:
                time.sleep(0.01)

    def restart(self) -> None:
        """Starts it again after its first process has ended: the others may still hold its ports."""
        self.kill()
        self.start()

    @property
    def running(self) -> bool:
        """Whether its first process has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The process id of its first process."""
        return self._process.pid if self._process else None

    @property
    def log(self) -> str:
        """What it has logged."""
        return (self.directory / "log").read_text(errors="replace")

    def command(self, *words: str) -> str:
        """Gives it a command, as an operator does."""
        return commanded(self.directory, *words)

    def states(self) -> dict[str, str]:
        """The flags of each node: AP is up, IP is down, DX is drained."""
        return dict(_STATE.findall(self.command("dispatcher.list")))

    def wait_for(self, node: str, flags: str, seconds: float = START_SECONDS) -> float:
        """Waits until a node has these flags. Returns for how long."""
        began = time.monotonic()
        while self.states().get(node) != flags:
            if time.monotonic() - began > seconds:
                raise ClusterFailed(f"{node} is not {flags}: {self.states()}\n{self.log[-3000:]}")
            time.sleep(0.05)
        return time.monotonic() - began
