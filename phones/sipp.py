"""SIPp: scripted SIP calls, many at a time, on 127.0.0.1."""

import csv
import math
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
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

# The keys of phones/scenarios/*.xml. SIPp refuses a scenario with a key it has no value for.
DEFAULT_KEYS: Mapping[str, str | int] = {
    "source": "1000",  # the caller's number
    "name": "",  # what stands before it: a display name in quotes
    "header": "User-Agent: sipp",  # one more header line of the INVITE
    "ring": 200,  # ms
    "talk": 1000,  # ms
}


@dataclass(frozen=True)
class Result:
    """How a SIPp ended.

    exit_code: 0 if every call went as its scenario says; 1 if one did not; other values: see SIPp.
    succeeded, failed: numbers of calls.
    errors: what SIPp has to say about the failed ones.
    """

    exit_code: int
    succeeded: int
    failed: int
    errors: str


class Sipp:
    """One SIPp; start and end it with `with`.

    scenario   a name in phones/scenarios ("uas_answer") or the path of an XML file
    target     "127.0.0.1:PORT" to call; None for a scenario that waits for calls
    number     the number to dial (the user of the request URI)
    keys       values of the scenario's keys, beside DEFAULT_KEYS
    calls      how many calls until it ends; rate: new ones a second; concurrent: at most so many at a time
    timeout    seconds until it gives up
    rtp_echo   send the audio of a call back to who it came from
    trace      keep every message for messages(); without, it is faster
    stopwatches  keep each time that a stop-watch of the scenario (start_rtd, rtd) showed, in a file `*_rtt.csv`
    lenient    go on when a message comes that the scenario does not expect (a second 180 in a pause)
    lines      a file of SIPp's (-inf) whose lines the calls take one after another, as [field0], [field1], …
    patience   seconds that a call waits for any message before it gives up (None: for ever)
    directory  where its files go and stay (None: a temporary one, removed at the end)
    """

    def __init__(
        self,
        scenario: str | Path,
        *,
        target: str | None = None,
        number: str = "1000",
        keys: Mapping[str, str | int] | None = None,
        calls: int = 1,
        rate: float = 10,
        concurrent: int | None = None,
        timeout: float = 30,
        rtp_echo: bool = False,
        transport: Transport = "udp",
        port: int | None = None,
        trace: bool = True,
        stopwatches: bool = False,
        lenient: bool = False,
        lines: Path | None = None,
        patience: float | None = None,
        directory: Path | None = None,
        programs: Programs | None = None,
    ) -> None:
        self._programs = programs or Programs.find()
        self._scenario = scenario if isinstance(scenario, Path) else SCENARIOS / f"{scenario}.xml"
        if not self._scenario.is_file():
            raise PhoneError(f"no scenario {self._scenario}")
        self._target = target
        self._number = number
        self._keys = {**DEFAULT_KEYS, **(keys or {})}
        self._calls = calls
        self._rate = rate
        self._concurrent = concurrent
        self._timeout = timeout
        self._rtp_echo = rtp_echo
        self._transport: Transport = transport
        self.port = port or free_port()
        self.media_port = free_port_range(MEDIA_PORTS)
        self._trace = trace
        self._stopwatches = stopwatches
        self._lenient = lenient
        self._lines = lines
        self._patience = patience
        self._keep = directory
        self._directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._messages: list[Message] = []

    def __enter__(self) -> Self:
        """Starts SIPp; one that waits for calls listens on return. PhoneError if it does not within 10 s."""
        if is_bound(self.port, self._transport):
            raise PhoneError(f"port {self.port} is taken")
        self._directory = self._keep or Path(tempfile.mkdtemp(prefix="sipp-"))
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
            if self._target is None:
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
        """Ends SIPp if it is still running. What messages() returns stays."""
        if self._process:
            child.stop(self._process, STOP_TIMEOUT)
            self._process = None
        if self._directory:
            directory, self._directory = self._directory, None
            self._messages = messages.read(directory / "messages")
            give_back(self.media_port, MEDIA_PORTS)
            if self._keep is None:
                shutil.rmtree(directory, ignore_errors=True)

    def wait(self, timeout: float | None = None) -> Result:
        """Waits until all calls are over.

        PhoneTimeoutError after `timeout` seconds (None: SIPp's own timeout and 5 s more).
        """
        if self._process is None or self._directory is None:
            raise PhoneError("SIPp is not running: use it inside its `with`")
        patience = timeout if timeout is not None else self._timeout + 5
        try:
            exit_code = self._process.wait(patience)
        except subprocess.TimeoutExpired as error:
            raise PhoneTimeoutError(f"SIPp has calls left after {patience} s{self._said()}") from error
        succeeded, failed = _counts(self._directory / "statistics")
        return Result(exit_code, succeeded, failed, child.tail(self._directory / "errors", 20_000))

    def no_more_calls(self) -> None:
        """Makes no new calls; SIPp ends once those that are up are over."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGUSR1)

    def finish(self, patience: float) -> None:
        """Lets the calls that are up come to their ends, for so many seconds at most. Nothing, if it was closed."""
        if self._process is None:
            return
        self.no_more_calls()
        with suppress(PhoneTimeoutError):
            self.wait(patience)

    def messages(self) -> list[Message]:
        """Every message until now, in order, also after the end."""
        return messages.read(self._directory / "messages") if self._directory else self._messages

    def _command(self) -> list[str]:
        command = [str(self._programs.sipp.resolve())]
        if self._target is not None:
            command += [self._target, "-s", self._number, "-r", f"{self._rate:g}"]
        command += ["-sf", str(self._scenario.resolve()), "-t", SIPP_TRANSPORT[self._transport]]
        command += ["-i", "127.0.0.1", "-p", str(self.port), "-mi", "127.0.0.1", "-mp", str(self.media_port)]
        command += ["-ci", "127.0.0.1", "-cp", str(free_port()), "-nostdin", "-m", str(self._calls)]
        command += ["-timeout", f"{math.ceil(self._timeout)}s", "-timeout_error"]
        command += ["-trace_err", "-error_file", "errors", "-trace_stat", "-stf", "statistics"]
        if self._concurrent is not None:
            command += ["-l", str(self._concurrent)]
        if self._trace:
            command += ["-trace_msg", "-message_file", "messages"]
        if self._stopwatches:
            command += ["-trace_rtt", "-rtt_freq", "1"]
        if self._lines is not None:
            command += ["-inf", str(self._lines.resolve())]
        if self._patience is not None:
            command += ["-recv_timeout", f"{round(self._patience * 1000)}"]
        if self._lenient:
            command += ["-default_behaviors", "all,-abortunexp"]
        if self._rtp_echo:
            command += ["-rtp_echo"]
        for key, value in self._keys.items():
            command += ["-key", key, str(value)]
        return command

    def _wait_listening(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not is_bound(self.port, self._transport):
            if process.poll() is not None or time.monotonic() > deadline:
                raise PhoneError(f"SIPp does not listen{self._said()}")
            time.sleep(0.01)

    def _said(self) -> str:
        if self._directory is None:
            return ""
        return f"\n{child.tail(self._directory / 'errors') or child.tail(self._directory / 'screen')}"


def _counts(statistics: Path) -> tuple[int, int]:
    """Calls that succeeded and failed, from the last row of SIPp's statistics; 0 and 0 if it wrote none."""
    try:
        rows = list(csv.DictReader(statistics.read_text().splitlines(), delimiter=";"))
    except FileNotFoundError:
        return 0, 0
    if not rows:
        return 0, 0
    return int(rows[-1]["SuccessfulCall(C)"]), int(rows[-1]["FailedCall(C)"])
