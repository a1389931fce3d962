"""Runs SIPp, which makes or accepts many scripted SIP calls at a time on 127.0.0.1."""

import csv
import math
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from phones import child, messages
from phones.errors import PhoneError, PhoneTimeoutError
from phones.messages import Message
from phones.ports import Transport, free_port, free_port_range, give_back, is_bound
from phones.programs import Programs

SCENARIOS = Path(__file__).resolve().parent / "scenarios"
START_TIMEOUT = 10.0
STOP_TIMEOUT = 2.0
MEDIA_PORTS = 4  # SIPp echoes audio on the first, video on the third
SIPP_TRANSPORT = {"udp": "u1", "tcp": "t1"}

# The keys of phones/scenarios/*.xml. SIPp refuses a scenario that has a key without a value.
DEFAULT_KEYS: Mapping[str, str | int] = {
    "source": "1000",  # the caller's number
    "name": "",  # the display name before it, in quotes
    "header": "User-Agent: sipp",  # one more header line of the INVITE
    "ring": 200,  # ms
    "talk": 1000,  # ms
}


@dataclass(frozen=True)
class Result:
    """How SIPp ended.

    Attributes:
        exit_code: 0 if every call followed its scenario, 1 if one did not; SIPp documents other values.
        succeeded: Number of calls that followed the scenario.
        failed: Number of calls that did not.
        errors: SIPp's messages about the failed calls.
    """

    exit_code: int
    succeeded: int
    failed: int
    errors: str


@dataclass(eq=False)
class Sipp:
    """One run of SIPp. `with` starts and ends it.

    Args:
        scenario: A name in phones/scenarios ("uas_answer"), or the path of an XML file.
        target: "127.0.0.1:PORT" to call; None for a scenario that accepts calls.
        number: The number to dial (the user of the request URI).
        keys: Values of the scenario's keys, in addition to DEFAULT_KEYS.
        calls: SIPp ends after this number of calls.
        rate: New calls in a second.
        concurrent: The limit of calls at a time.
        timeout: Seconds until SIPp gives up.
        rtp_echo: Send the audio of a call back to its sender.
        trace: Keep every message for messages(). SIPp is faster without it.
        stopwatches: Write each time that a stopwatch of the scenario (start_rtd, rtd) measures to a `*_rtt.csv` file.
        lenient: Continue when a message comes that the scenario does not expect (a second 180 during a pause).
        lines: A file (SIPp's -inf). Each call takes the next line, as [field0], [field1], …
        patience: Seconds that a call waits for any message before it gives up; None waits for ever.
        directory: Where SIPp's files are kept; None for a temporary directory that is removed at the end.
    """

    scenario: str | Path
    _: KW_ONLY
    target: str | None = None
    number: str = "1000"
    keys: Mapping[str, str | int] = field(default_factory=dict)
    calls: int = 1
    rate: float = 10
    concurrent: int | None = None
    timeout: float = 30
    rtp_echo: bool = False
    transport: Transport = "udp"
    port: int = field(default_factory=free_port)
    trace: bool = True
    stopwatches: bool = False
    lenient: bool = False
    lines: Path | None = None
    patience: float | None = None
    directory: Path | None = None
    programs: Programs = field(default_factory=Programs.find)
    media_port: int = field(init=False, default_factory=lambda: free_port_range(MEDIA_PORTS))
    control_port: int = field(init=False, default_factory=free_port)
    _script: Path = field(init=False)
    _directory: Path | None = field(init=False, default=None)
    _process: subprocess.Popen[bytes] | None = field(init=False, default=None)
    _messages: list[Message] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._script = self.scenario if isinstance(self.scenario, Path) else SCENARIOS / f"{self.scenario}.xml"
        if not self._script.is_file():
            raise PhoneError(f"the scenario {self._script} does not exist")

    def __enter__(self) -> Self:
        """Starts SIPp and, if it accepts calls, waits until it listens. Raises PhoneError if that takes over 10 s."""
        if is_bound(self.port, self.transport):
            raise PhoneError(f"port {self.port} is taken")
        self._directory = self.directory or Path(tempfile.mkdtemp(prefix="sipp-"))
        self._directory.mkdir(parents=True, exist_ok=True)
        try:
            with (self._directory / "screen").open("wb") as screen:
                self._process = subprocess.Popen(
                    self._command(),
                    cwd=self._directory,
                    stdin=subprocess.DEVNULL,
                    stdout=screen,
                    stderr=subprocess.STDOUT,
                )
            if self.target is None:
                self._wait_listening(self._process)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends SIPp if it is still running. messages() remains usable."""
        if self._process:
            child.stop(self._process, STOP_TIMEOUT)
            self._process = None
        if self._directory:
            directory, self._directory = self._directory, None
            self._messages = messages.read(directory / "messages")
            give_back(self.media_port, MEDIA_PORTS)
            give_back(self.control_port)
            if self.directory is None:
                shutil.rmtree(directory, ignore_errors=True)

    def wait(self, timeout: float | None = None) -> Result:
        """Waits until all calls have ended.

        Raises:
            PhoneTimeoutError: Calls remain after `timeout` seconds (None: SIPp's own timeout and 5 s more).
        """
        if self._process is None or self._directory is None:
            raise PhoneError("SIPp is not running: use it inside its `with`")
        patience = timeout if timeout is not None else self.timeout + 5
        try:
            exit_code = self._process.wait(patience)
        except subprocess.TimeoutExpired as error:
            raise PhoneTimeoutError(f"SIPp has calls left after {patience} s{self._error_lines()}") from error
        succeeded, failed = _counts(self._directory / "statistics")
        return Result(exit_code, succeeded, failed, child.tail(self._directory / "errors", 20_000))

    def no_more_calls(self) -> None:
        """Starts no new calls. SIPp ends when its present calls have ended."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGUSR1)

    def finish(self, patience: float) -> None:
        """Waits up to `patience` seconds until the present calls have ended. Does nothing after close()."""
        if self._process is None:
            return
        self.no_more_calls()
        with suppress(PhoneTimeoutError):
            self.wait(patience)

    def messages(self) -> list[Message]:
        """Returns every message so far, in order. Also works after the end."""
        return messages.read(self._directory / "messages") if self._directory else self._messages

    def _command(self) -> list[str]:
        command = [str(self.programs.sipp.resolve())]
        if self.target is not None:
            command += [self.target, "-s", self.number, "-r", f"{self.rate:g}"]
        command += ["-sf", str(self._script.resolve()), "-t", SIPP_TRANSPORT[self.transport]]
        command += ["-i", "127.0.0.1", "-p", str(self.port), "-mi", "127.0.0.1", "-mp", str(self.media_port)]
        command += ["-ci", "127.0.0.1", "-cp", str(self.control_port), "-nostdin", "-m", str(self.calls)]
        command += ["-timeout", f"{math.ceil(self.timeout)}s", "-timeout_error"]
        command += ["-trace_err", "-error_file", "errors", "-trace_stat", "-stf", "statistics"]
        if self.concurrent is not None:
            command += ["-l", str(self.concurrent)]
        if self.trace:
            command += ["-trace_msg", "-message_file", "messages"]
        if self.stopwatches:
            command += ["-trace_rtt", "-rtt_freq", "1"]
        if self.lines is not None:
            command += ["-inf", str(self.lines.resolve())]
        if self.patience is not None:
            command += ["-recv_timeout", f"{round(self.patience * 1000)}"]
        if self.lenient:
            command += ["-default_behaviors", "all,-abortunexp"]
        if self.rtp_echo:
            command += ["-rtp_echo"]
        for key, value in {**DEFAULT_KEYS, **self.keys}.items():
            command += ["-key", key, str(value)]
        return command

    def _wait_listening(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not is_bound(self.port, self.transport):
            if process.poll() is not None or time.monotonic() > deadline:
                raise PhoneError(f"SIPp does not listen{self._error_lines()}")
            time.sleep(0.01)

    def _error_lines(self) -> str:
        if self._directory is None:
            return ""
        return f"\n{child.tail(self._directory / 'errors') or child.tail(self._directory / 'screen')}"


def _counts(statistics: Path) -> tuple[int, int]:
    """Returns the numbers of succeeded and failed calls from SIPp's last statistics row; zeros without one."""
    try:
        rows = list(csv.DictReader(statistics.read_text().splitlines(), delimiter=";"))
    except FileNotFoundError:
        return 0, 0
    if not rows:
        return 0, 0
    return int(rows[-1]["SuccessfulCall(C)"]), int(rows[-1]["FailedCall(C)"])
