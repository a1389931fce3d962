"""`make call`: makes one real call on a running system, from the booking to the callback, and shows each step.

It plays all parts outside the system: the customer (over HTTP), a caller on the telephone network, the hidden telephone
behind the trunk, and the receiver of the callback.
"""

import json
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from standardwebhooks import Webhook, WebhookVerificationError

from engine.cli.errors import EXPECTED, messages_of
from engine.config.settings import Settings
from engine.config.types import Profile, reachable
from engine.local.demo import call_lock, key_file, webhook_secret_file
from engine.runtime import lock
from phones import tone
from phones.baresip import Baresip
from phones.errors import CallEndedError, PhoneError, PhoneTimeoutError
from phones.listener import Callback, CallbackListener
from phones.ports import is_bound

# France reserves +33 1 99 00 xx xx for fiction. The pool and the softphones use other numbers of this range.
HIDDEN = "+33199007001"
CALLER = "+33199007002"
CALLER_HZ, CALLEE_HZ = 440, 620
TALK_SECONDS = 4.0
LEAST_HEARD_SECONDS = 2.5
CDR_SECONDS = 10.0

console = Console(highlight=False)


class DemoFailed(Exception):
    """The message says what went wrong and what to do about it."""


def main() -> int:
    """Returns exit status 0 if the call had sound at both ends, a call record and a callback; else 1."""
    try:
        settings = Settings()
        with _alone(settings):
            _run(settings)
    except (DemoFailed, PhoneError) as error:  # first: a PhoneTimeoutError is an OSError too
        problems = [str(error)]
    except EXPECTED as error:
        problems = messages_of(error)
    else:
        return 0
    for problem in problems:
        console.print(f"[red]✗[/] {escape(problem)}", soft_wrap=True)
    return 1


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Holds the lock of the demo's telephone network.

    Raises:
        DemoFailed: There is no demo account, or another program uses the telephone network.
    """
    if settings.profile is not Profile.DEMO:
        raise DemoFailed(
            "`make call` uses the demo account, which the production profile does not have. "
            "Run both `make run` and `make call` with RENTED_NUMBERS_PROFILE=demo."
        )
    if not key_file(settings.data_dir).exists():
        raise DemoFailed("There is no demo key yet. Start `make run` in another terminal first.")
    port = _trunk_port(settings)
    taken = DemoFailed(f"Another program already plays the telephone network (it uses port {port}).")
    try:
        with lock.held(call_lock(settings.data_dir).parent, call_lock(settings.data_dir).name):
            if is_bound(port) or is_bound(port, "tcp"):
                raise taken
            yield
    except lock.DataDirInUse:
        raise taken from None


def _run(settings: Settings) -> None:
    api = Api(settings)
    trunk_port = _trunk_port(settings)
    signed_with = Webhook(webhook_secret_file(settings.data_dir).read_text().strip())
    with CallbackListener() as listener, tempfile.TemporaryDirectory() as directory:
        booking = _book(api, listener.url)
        heard_by_caller, heard_by_callee = Path(directory, "caller.wav"), Path(directory, "callee.wav")
        network = Baresip(
            "network", numbers=[HIDDEN], port=trunk_port, answer="none", tone=CALLEE_HZ, record=heard_by_callee
        )
        server = f"{reachable(settings.sip_host)}:{settings.sip_port}"
        caller = Baresip(CALLER, server=server, tone=CALLER_HZ, record=heard_by_caller)
        with network, caller:
            _call(network, caller, booking["service"])
        _sound("The caller", heard_by_caller, CALLEE_HZ)
        _sound("The hidden telephone", heard_by_callee, CALLER_HZ)
        _show_record(api, booking)
        callback = listener.wait(1, timeout=15)[0]
        _verify(signed_with, callback)
        _step(f"The callback arrived at {listener.url}, and its signature is valid:", callback.content)
    console.print("[green]✓[/] Done: the call was connected, metered and recorded, and the callback was sent.")


def _book(api: "Api", callback: str) -> dict[str, Any]:
    """Renews the booking of an earlier run, so that the pool does not run out of numbers, or creates one."""
    for booking in api.get("/bookings?includeExpired=true&limit=100")["data"]:
        if booking["destination"] == HIDDEN:
            renewal = {"usagePlan": "SMALL", "callback": callback}
            renewed: dict[str, Any] = api.request("PUT", f"/bookings/{booking['id']}", renewal)
            _step(f"PUT /bookings/{booking['id']} renews the booking of an earlier run:", renewed)
            return renewed
    wanted = {"destination": HIDDEN, "usagePlan": "SMALL", "callback": callback}
    booked: dict[str, Any] = api.request("POST", "/bookings", wanted)
    _step("POST /bookings rents a temporary number for the hidden number:", booked)
    return booked


def _call(network: Baresip, caller: Baresip, service: str) -> None:
    _step(f"The caller {CALLER} dials the rented number {service}.")
    caller.dial(service)
    try:
        network.wait_ringing()
        _step(f"The hidden telephone {HIDDEN} rings, behind the trunk.")
        time.sleep(1)
        network.accept()
        caller.wait_established()
    except CallEndedError as ended:
        raise DemoFailed(f"The call was refused: {ended.ending.status} {ended.ending.reason}") from ended
    _step(f"It answers. The caller plays a tone of {CALLER_HZ} Hz, the hidden telephone one of {CALLEE_HZ} Hz.")
    try:
        caller.wait_closed(TALK_SECONDS)
    except PhoneTimeoutError:
        caller.hangup()
        ending = caller.wait_closed()
        _step(f"The caller hangs up after {ending.talked:.1f} s.")
    else:
        raise DemoFailed("The call was cut too early.")
    network.wait_closed()


def _sound(who: str, recording: Path, hz: int) -> None:
    seconds = tone.seconds_of(recording, hz) if recording.exists() else 0.0
    _step(f"{who} heard the other side's tone ({hz} Hz) for {seconds:.1f} s.")
    if seconds < LEAST_HEARD_SECONDS:
        raise DemoFailed(f"{who} heard the tone for less than {LEAST_HEARD_SECONDS} s.")


def _verify(signed_with: Webhook, callback: Callback) -> None:
    """Verifies the signature, as every receiver should."""
    try:
        signed_with.verify(callback.body, callback.headers)
    except WebhookVerificationError as error:
        raise DemoFailed(f"The signature of the callback is invalid: {error}") from error


def _show_record(api: "Api", booking: dict[str, Any]) -> None:
    deadline = time.monotonic() + CDR_SECONDS
    while time.monotonic() < deadline:
        newest = api.get("/cdr?limit=1")["data"]
        if newest and newest[0]["service"] == booking["service"]:
            _step("GET /cdr returns the call record:", newest[0])
            now: dict[str, Any] = api.get(f"/bookings/{booking['id']}")
            _step(
                f"The booking had {booking['secondsRemaining']} seconds and {booking['callsRemaining']} calls; "
                f"now {now['secondsRemaining']} seconds and {now['callsRemaining']} calls remain."
            )
            return
        time.sleep(0.1)
    raise DemoFailed(f"No call record appeared within {CDR_SECONDS:.0f} s.")


def _trunk_port(settings: Settings) -> int:
    """The port that the first trunk leads to: there this program plays the telephone network."""
    address = settings.trunks_in_use[0].uri.removeprefix("sip:").partition(";")[0]
    host, _, port = address.partition(":")
    if host != "127.0.0.1":
        raise DemoFailed(f"The trunk leads to {host}, but `make call` can play the network only at 127.0.0.1.")
    return int(port or 5060)


def _step(text: str, content: dict[str, Any] | None = None) -> None:
    console.print(f"[green]•[/] {text}", soft_wrap=True)
    if content is not None:
        console.print_json(json.dumps(content), indent=4)


class Api:
    """The customer's API client, with the demo account's key."""

    def __init__(self, settings: Settings) -> None:
        self._base = f"http://{reachable(settings.http_host)}:{settings.http_port}"
        self._key = key_file(settings.data_dir).read_text().strip()

    def get(self, path: str) -> Any:  # noqa: ANN401  JSON
        return self.request("GET", path)

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401  JSON
        request = urllib.request.Request(  # noqa: S310  the scheme is ours
            self._base + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  as above
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                if error.headers.get_content_type() != "application/problem+json":
                    raise self._wrong_server() from error
                raise DemoFailed(f"{method} {path}: {error.code} {error.read().decode()}") from error
        except OSError as error:
            raise DemoFailed(f"{self._base} does not answer. Start `make run` in another terminal first.") from error
        except (ValueError, HTTPException) as error:
            raise self._wrong_server() from error

    def _wrong_server(self) -> DemoFailed:
        return DemoFailed(
            f"Another program answers on {self._base}. End it, or set another RENTED_NUMBERS_HTTP_PORT for both "
            "`make run` and `make call`."
        )


if __name__ == "__main__":
    sys.exit(main())
