"""A SIP telephone with audio: Debian's baresip without screen and sound card, controlled over a TCP port."""

import itertools
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from phones import baresip_files, child, tone
from phones.baresip_files import RTP_PORTS, Answer, Setup, Tls
from phones.call import Call
from phones.control import Control
from phones.errors import CallEndedError, Ending, PhoneError, PhoneTimeoutError
from phones.ports import free_port, free_port_range, give_back, is_bound
from phones.programs import Programs

START_TIMEOUT = 10.0
REPLY_TIMEOUT = 5.0
RECORDING_TIMEOUT = 2.0
QUIT_TIMEOUT = 1.0  # baresip waits up to half a minute for the answer to its last request
KILL_TIMEOUT = 0.1
POLL_INTERVAL = 0.05
SIP_PORTS = 2


def free_sip_port() -> int:
    """Returns a free port for a telephone. The next port is free, too: baresip listens there for TLS in any case."""
    return free_port_range(SIP_PORTS)


class Baresip:
    """One telephone with one call at a time. `with` starts and ends it.

    Args:
        user: The number it calls from (the user of From), and a number that it answers to.
        server: "127.0.0.1:PORT", where it dials numbers.
        password: The telephone registers at the server as `user` with it. Without it, it does not register.
        numbers: Further numbers that it answers to. It refuses calls to any other number with 404.
        answer: "auto" answers every call at once. "none" lets a call ring until accept() or hangup().
        tone: Frequency in Hz of the tone that it plays into a call; None for silence.
        play: A WAV file to play in place of a tone.
        record: Where it writes a WAV file with the sound of its last call, once that call has ended.
        port: Its SIP port (UDP and TCP), from `free_sip_port`; None for a free one. The next port is for TLS.
        longest_call: Seconds that the tone lasts. baresip hangs up when its sound file ends.
        tls: Makes it dial over TLS and accept TLS at `tls_port`.
        programs: Where baresip is installed.
    """

    # What exists only while the telephone runs.
    _call: Call | None = None
    _directory: Path | None = None
    _process: subprocess.Popen[bytes] | None = None
    _control: Control | None = None

    def __init__(
        self,
        user: str,
        *,
        server: str | None = None,
        password: str | None = None,
        numbers: Sequence[str] = (),
        answer: Answer = "none",
        tone: int | None = None,
        play: Path | None = None,
        record: Path | None = None,
        port: int | None = None,
        longest_call: float = 300.0,
        tls: Tls | None = None,
        programs: Programs | None = None,
    ) -> None:
        self._programs = programs or Programs.find()
        self._setup = Setup(
            user=user,
            server=server,
            password=password,
            numbers=tuple(numbers),
            answer=answer,
            tone=tone,
            play=play,
            recording=record is not None,
            longest_call=longest_call,
            port=port or free_sip_port(),
            control_port=free_port(),
            rtp_port=free_port_range(RTP_PORTS),
            modules_dir=self._programs.baresip_modules_dir,
            tls=tls,
        )
        self._record = record
        self._tokens = itertools.count(1)
        self._replies: dict[str, dict[str, Any]] = {}
        self._past: set[str] = set()  # Call-IDs that are over and reported

    @property
    def port(self) -> int:
        """Its SIP port on 127.0.0.1."""
        return self._setup.port

    @property
    def tls_port(self) -> int:
        return self.port + 1

    @property
    def peer(self) -> str:
        """The URI that the other side of its call shows; empty without a call."""
        return self._call.peer if self._call else ""

    def __enter__(self) -> Self:
        """Starts baresip. Raises PhoneError if it is not running within 10 s."""
        if is_bound(self.port) or is_bound(self.port, "tcp"):
            raise PhoneError(f"port {self.port} is taken")
        self._directory = Path(tempfile.mkdtemp(prefix="baresip-"))
        try:
            baresip_files.write(self._setup, self._directory)
            with (self._directory / "log").open("wb") as log:
                self._process = subprocess.Popen(
                    [self._programs.baresip.resolve(), "-4", "-f", "."],
                    cwd=self._directory,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            self._control = self._connect(self._process)
            self._ask("reginfo")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the call and the program, and removes all its files except the recording."""
        if self._control and self._process and self._process.poll() is None:
            try:
                self._control.send("quit", "", "quit")
                self._process.wait(QUIT_TIMEOUT)
            except (PhoneError, subprocess.TimeoutExpired):
                pass  # stop() below ends it with a signal
        if self._process:
            child.stop(self._process, KILL_TIMEOUT)
            self._process = None
        if self._control:
            self._control.close()
            self._control = None
        if self._directory:
            self._keep_recording()
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None
            give_back(self._setup.rtp_port, RTP_PORTS)

    def wait_registered(self, timeout: float = 10.0) -> None:
        """Waits until the server has accepted the registration. Raises PhoneTimeoutError with the server's answer."""
        if not self._setup.registers:
            raise PhoneError("a telephone without server and password registers nowhere")
        deadline = time.monotonic() + timeout
        while "OK" not in (status := self._ask("reginfo")):
            if time.monotonic() > deadline:
                raise PhoneTimeoutError(f"not registered after {timeout} s: {status.strip()}{self._log()}")
            time.sleep(POLL_INTERVAL)

    def dial(self, target: str) -> None:
        """Starts a call to a number at the server, or to a "sip:" URI. Does not wait for an answer."""
        uri = target
        if not target.startswith("sip:"):
            if self._setup.server is None:
                raise PhoneError(f"this telephone has no server to dial {target}: give a sip: URI")
            uri = f"sip:{target}@{self._setup.server}{self._setup.transport}"
        self._handle_waiting()
        if self._call and not self._call.ending:
            raise PhoneError("this telephone has a call already")
        self._call = Call(self._setup.account)
        self._ask_for_call("dial", uri)

    def accept(self) -> None:
        """Answers the ringing call."""
        self._ask_for_call("accept")

    def press(self, keys: str) -> None:
        """Presses telephone keys in the call (RFC 4733)."""
        self._ask_for_call("sndcode", keys)

    def hangup(self) -> None:
        """Ends the call, cancels dialling, or refuses the ringing call (with 486)."""
        self._ask_for_call("hangup")

    def wait_ringing(self, timeout: float = 10.0) -> None:
        """Waits until a call rings, here or (after dial) at the other side. Raises as wait_established does."""
        call = self._wait(lambda call: call.ringing or call.answered_at is not None, timeout, "no call rang")
        if call.ending and not call.ringing:
            raise CallEndedError(self._finish(call, call.ending))

    def wait_established(self, timeout: float = 10.0) -> None:
        """Waits until the call is answered.

        Raises:
            CallEndedError: The call was refused or cancelled.
            PhoneTimeoutError: The call was not answered in time.
        """
        call = self._wait(lambda call: call.answered_at is not None, timeout, "no call was answered")
        if call.ending and call.answered_at is None:
            raise CallEndedError(self._finish(call, call.ending))

    def wait_closed(self, timeout: float = 30.0) -> Ending:
        """Waits until the call has ended and its recording is complete, and returns how it ended.

        All later waits are for the next call.
        """
        call = self._wait(lambda _call: False, timeout, "no call ended")
        if call.ending is None:
            raise PhoneError("unreachable: the wait is for the ending")
        return self._finish(call, call.ending)

    def _finish(self, call: Call, ending: Ending) -> Ending:
        self._past.add(call.identity)
        self._call = None
        # baresip replies after it has finished the call, and with it the recording.
        self._ask("reginfo")
        self._keep_recording()
        return ending

    def _keep_recording(self) -> None:
        if self._directory is None or self._record is None:
            return
        heard = list(self._directory.glob("dump-*-dec.wav"))
        if heard:
            # baresip writes the length into the file's header last, shortly after it reports the call as closed. When
            # it sets up the sound again, it begins another, nearly empty file.
            deadline = time.monotonic() + RECORDING_TIMEOUT
            while not tone.are_written(heard) and time.monotonic() < deadline:
                time.sleep(POLL_INTERVAL)
            shutil.move(max(heard, key=tone.duration), self._record)
        for rest in self._directory.glob("dump-*.wav"):
            rest.unlink()

    def _wait(self, happened: Callable[[Call], bool], timeout: float, failure: str) -> Call:
        """Handles baresip's events until the condition holds for the call, or the call has ended."""
        deadline = time.monotonic() + timeout
        while True:
            call = self._call
            if call and (call.ending or happened(call)):
                return call
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise PhoneTimeoutError(f"{failure} within {timeout} s{self._log()}")
            self._handle_next(remaining)

    def _ask(self, command: str, parameters: str = "") -> str:
        """Sends a command and returns the text of the reply. Raises PhoneError if baresip refuses it."""
        token = str(next(self._tokens))
        self._running_control().send(command, parameters, token)
        deadline = time.monotonic() + REPLY_TIMEOUT
        while token not in self._replies:
            if time.monotonic() > deadline:
                raise PhoneTimeoutError(f"baresip did not reply to {command}{self._log()}")
            self._handle_next(POLL_INTERVAL)
        reply = self._replies.pop(token)
        if not reply.get("ok"):
            raise PhoneError(f"baresip refused {command} {parameters}: {reply.get('data')}{self._log()}")
        return str(reply.get("data", ""))

    def _ask_for_call(self, command: str, parameters: str = "") -> None:
        """Sends a command for our call. Commands apply to the selected account, so it selects the call's one first."""
        self._handle_waiting()
        if self._call is None:
            raise PhoneError(f"no call to {command}")
        self._ask("uafind", self._call.account)
        self._ask(command, parameters)

    def _handle_waiting(self) -> None:
        while self._handle_next(0):
            pass

    def _handle_next(self, timeout: float) -> bool:
        received = self._running_control().receive(timeout)
        if received is None:
            return False
        body = received.body
        if body.get("response"):
            self._replies[str(body.get("token"))] = body
        elif body.get("class") == "call":
            self._handle_call_event(received.at, body)
        return True

    def _handle_call_event(self, at: float, event: dict[str, Any]) -> None:
        identity = str(event.get("id", ""))
        if identity in self._past:
            return
        if self._call and not self._call.identity and event.get("direction") == "outgoing":
            self._call.identity = identity
        elif self._call is None or (self._call.ending and self._call.identity != identity):
            self._call = Call(str(event.get("accountaor", "")), identity)
        if self._call.identity == identity:
            self._call.follow(at, event)

    def _running_control(self) -> Control:
        if self._control is None:
            raise PhoneError("the telephone is not running: use it inside its `with`")
        return self._control

    def _connect(self, process: subprocess.Popen[bytes]) -> Control:
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                return Control(self._setup.control_port, START_TIMEOUT)
            except OSError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise PhoneError(f"baresip did not start: {error}{self._log()}") from error
                time.sleep(0.01)

    def _log(self) -> str:
        return f"\n{child.tail(self._directory / 'log')}" if self._directory else ""
