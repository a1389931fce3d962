"""A SIP telephone with audio: Debian's baresip without screen and sound card, driven over a control port."""

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
QUIT_TIMEOUT = 1.0  # a baresip whose last request nobody answered would take half a minute to quit
KILL_TIMEOUT = 0.1
POLL_INTERVAL = 0.05


class Baresip:
    """One telephone; start and end it with `with`. It has one call at a time.

    user      the number it calls from (the user of From), and the one it answers to
    server    "127.0.0.1:PORT" that numbers are dialled to
    password  with it the telephone registers at the server, as `user`; without, it registers nowhere
    numbers   further numbers it answers to (it refuses calls to others with 404)
    answer    "auto": takes every call at once; "none": lets it ring until accept() or hangup()
    tone      Hz of the sine it plays into a call (None: silence); play: a WAV file instead
    record    where the sound it heard in its last call is put, as WAV, once that call has ended
    port      its SIP port (None: a free one), UDP and TCP; baresip takes the next one too, for TLS
    tls       with it, it dials over TLS, and answers TLS at `tls_port`
    longest_call  seconds the tone lasts: when its sound is over, baresip hangs up
    """

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
            port=port or free_port_range(2),
            control_port=free_port(),
            rtp_port=free_port_range(RTP_PORTS),
            modules_dir=self._programs.baresip_modules_dir,
            tls=tls,
        )
        self._record = record
        self._tokens = itertools.count(1)
        self._replies: dict[str, dict[str, Any]] = {}
        self._call: Call | None = None
        self._past: set[str] = set()  # Call-IDs that are over and reported
        self._directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._control: Control | None = None

    @property
    def port(self) -> int:
        """Its SIP port on 127.0.0.1."""
        return self._setup.port

    @property
    def tls_port(self) -> int:
        return self.port + 1

    def __enter__(self) -> Self:
        """Starts baresip; raises PhoneError if it does not run within 10 s."""
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
        """Ends a call that is going on, and the program; removes its files but for the recording."""
        if self._control and self._process and self._process.poll() is None:
            try:
                self._control.send("quit", "", "quit")
                self._process.wait(QUIT_TIMEOUT)
            except (PhoneError, subprocess.TimeoutExpired):
                pass  # stop() below is less polite
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
        """Returns once the server has accepted the registration; PhoneTimeoutError with its words if not."""
        if not self._setup.registers:
            raise PhoneError("a telephone without server and password registers nowhere")
        deadline = time.monotonic() + timeout
        while "OK" not in (status := self._ask("reginfo")):
            if time.monotonic() > deadline:
                raise PhoneTimeoutError(f"not registered after {timeout} s: {status.strip()}{self._log()}")
            time.sleep(POLL_INTERVAL)

    def dial(self, target: str) -> None:
        """Calls a number at the server, or a "sip:" URI; returns at once."""
        uri = target
        if not target.startswith("sip:"):
            if self._setup.server is None:
                raise PhoneError(f"no server to dial {target} at: give a sip: URI")
            uri = f"sip:{target}@{self._setup.server}{self._setup.transport}"
        self._handle_waiting()
        if self._call and not self._call.ending:
            raise PhoneError("this telephone has a call already")
        self._call = Call(self._setup.account)
        self._ask_for_call("dial", uri)

    def accept(self) -> None:
        """Answers the call that rings."""
        self._ask_for_call("accept")

    def hangup(self) -> None:
        """Ends the call, gives up dialling, or refuses the call that rings (with 486)."""
        self._ask_for_call("hangup")

    def wait_ringing(self, timeout: float = 10.0) -> None:
        """Returns when a call rings, here or (after dial) at the other side; raises like wait_established."""
        call = self._wait(lambda call: call.ringing or call.answered_at is not None, timeout, "no call rang")
        if call.ending and not call.ringing:
            raise CallEndedError(self._finish(call, call.ending))

    def wait_established(self, timeout: float = 10.0) -> None:
        """Returns when the call is answered.

        Raises CallEndedError if it was refused or given up, PhoneTimeoutError if nothing came of it in time.
        """
        call = self._wait(lambda call: call.answered_at is not None, timeout, "no call was answered")
        if call.ending and call.answered_at is None:
            raise CallEndedError(self._finish(call, call.ending))

    def wait_closed(self, timeout: float = 30.0) -> Ending:
        """Returns how the call ended, when it has; the recording is then complete.

        The call is then forgotten: whatever is waited for next is about the next call.
        """
        call = self._wait(lambda _call: False, timeout, "no call ended")
        if call.ending is None:
            raise PhoneError("unreachable: the wait is for the ending")
        return self._finish(call, call.ending)

    def _finish(self, call: Call, ending: Ending) -> Ending:
        self._past.add(call.identity)
        self._call = None
        # The reply tells that baresip is through with the call, and so with the recording.
        self._ask("reginfo")
        self._keep_recording()
        return ending

    def _keep_recording(self) -> None:
        if self._directory is None or self._record is None:
            return
        heard = list(self._directory.glob("dump-*-dec.wav"))
        if heard:
            # baresip writes a file's length into its head last, a little after it says that the call is closed; and
            # it begins another, nearly empty one when the sound is set up again.
            deadline = time.monotonic() + RECORDING_TIMEOUT
            while not tone.are_written(heard) and time.monotonic() < deadline:
                time.sleep(POLL_INTERVAL)
            shutil.move(max(heard, key=tone.duration), self._record)
        for rest in self._directory.glob("dump-*.wav"):
            rest.unlink()

    def _wait(self, happened: Callable[[Call], bool], timeout: float, failure: str) -> Call:
        """Handles what baresip says until it happened to the call, or the call ended."""
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
        """Sends a command and returns the text of its reply; PhoneError if baresip refuses it."""
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
        """A command is about the call of baresip's selected account: selects the account of ours first."""
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
