"""What every `make call` has in common: the API with the demo's key, the lock of the telephone network, and steps.

A step is a line for the person who watches, perhaps with what the API answered.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

from rich.console import Console
from standardwebhooks import Webhook, WebhookVerificationError

from engine.asterisk.softphones import Softphone
from engine.config.secrets import load
from engine.config.settings import Settings
from engine.config.types import Profile, reachable
from engine.local.demo import call_lock, key_file, webhook_secret_file
from engine.runtime import lock
from phones import tone
from phones.baresip import Baresip
from phones.baresip_files import Answer
from phones.errors import CallEndedError, PhoneTimeoutError
from phones.listener import CallbackListener
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


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
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
    port = trunk_port(settings)
    taken = DemoFailed(f"Another program already plays the telephone network (it uses port {port}).")
    try:
        with lock.held(call_lock(settings.data_dir).parent, call_lock(settings.data_dir).name):
            if is_bound(port) or is_bound(port, "tcp"):
                raise taken
            yield
    except lock.DataDirInUse:
        raise taken from None


def step(text: str, content: dict[str, Any] | None = None) -> None:
    """Shows a step, perhaps with JSON."""
    console.print(f"[green]•[/] {text}", soft_wrap=True)
    if content is not None:
        console.print_json(json.dumps(content), indent=4)


def trunk_port(settings: Settings) -> int:
    """The port that the first trunk leads to: there this program plays the telephone network."""
    address = settings.trunks_in_use[0].uri.removeprefix("sip:").partition(";")[0]
    host, _, port = address.partition(":")
    if host != "127.0.0.1":
        raise DemoFailed(f"The trunk leads to {host}, but `make call` can play the network only at 127.0.0.1.")
    return int(port or 5060)


def book(api: "Api", hidden: str, callback: str, **spoken: object) -> dict[str, Any]:
    """Renews the booking of an earlier run, so that the pool does not run out of numbers, or creates one.

    Args:
        api: The demo account's API.
        hidden: The number to hide.
        callback: Where callbacks go.
        spoken: Fields of the booking about what is spoken in its calls. Without them, nothing is said to the callee.
    """
    api.last_record = next((each["id"] for each in api.get("/cdr?limit=1")["data"]), None)
    wanted = {"usagePlan": "SMALL", "callback": callback, "whisper": False, "screening": "none", **spoken}
    for booking in api.get("/bookings?includeExpired=true&limit=100")["data"]:
        if booking["destination"] == hidden:
            renewed: dict[str, Any] = api.request("PUT", f"/bookings/{booking['id']}", wanted)
            step(f"PUT /bookings/{booking['id']} renews the booking of an earlier run:", renewed)
            return renewed
    booked: dict[str, Any] = api.request("POST", "/bookings", {"destination": hidden, **wanted})
    step("POST /bookings rents a temporary number for the hidden number:", booked)
    return booked


def secret_of(settings: Settings) -> Webhook:
    """Returns what verifies the demo account's callbacks."""
    return Webhook(webhook_secret_file(settings.data_dir).read_text().strip())


def caller_phone(settings: Settings, record: Path, *, port: int | None = None) -> Baresip:
    """Returns the caller's telephone. With a port it can be called there, too."""
    return Baresip(CALLER, server=_entry_of(settings), port=port, tone=CALLER_HZ, record=record)


def network_phone(settings: Settings, record: Path, *, answer: Answer) -> Baresip:
    """Returns the hidden telephone, behind the trunk."""
    return Baresip("network", numbers=[HIDDEN], port=trunk_port(settings), answer=answer, tone=CALLEE_HZ, record=record)


def softphone(settings: Settings, account: Softphone, hz: int, record: Path) -> Baresip:
    """Returns one of the demo's telephones. Its password shows who calls, as the word of a carrier does."""
    password = getattr(load(settings.data_dir / "secrets"), f"{account.user}_password")
    return Baresip(account.user, server=server_of(settings), password=password, tone=hz, record=record)


def check_shown(callee: Baresip, called: str, service: str, caller: str) -> None:
    """Checks that a telephone that rings shows the rented number, and not who calls. Raises DemoFailed."""
    if service not in callee.peer or caller in callee.peer:
        raise DemoFailed(f"The telephone of {called} sees {callee.peer}.")
    step(f"The telephone of {called} rings, and shows {service}.")


def server_of(settings: Settings) -> str:
    """Returns the address of the system's Asterisk."""
    return f"{reachable(settings.sip_host)}:{settings.sip_port}"


def _entry_of(settings: Settings) -> str:
    """Returns where calls to rented numbers come in: at Kamailio, if there is one."""
    if settings.kamailio_host is None:
        return server_of(settings)
    return f"{reachable(settings.kamailio_host)}:{settings.kamailio_port}"


@contextmanager
def connected() -> Iterator[None]:
    """Inside its `with`, a call is put through. Raises DemoFailed if it is refused."""
    try:
        yield
    except CallEndedError as ended:
        raise DemoFailed(f"The call was refused: {ended.ending.status} {ended.ending.reason}") from ended


def hang_up_after(caller: Baresip, seconds: float, who: str = "The caller") -> None:
    """Lets a call last for a time, then has `who` end it. Raises DemoFailed if it ends earlier."""
    try:
        caller.wait_closed(seconds)
    except PhoneTimeoutError:
        caller.hangup()
        ending = caller.wait_closed()
        step(f"{who} hangs up after {ending.talked:.1f} s.")
    else:
        raise DemoFailed("The call was cut too early.")


def check_sound(who: str, recording: Path, hz: int) -> None:
    """Checks that somebody heard the other side's tone. Raises DemoFailed."""
    seconds = tone.seconds_of(recording, hz) if recording.exists() else 0.0
    step(f"{who} heard the other side's tone ({hz} Hz) for {seconds:.1f} s.")
    if seconds < LEAST_HEARD_SECONDS:
        raise DemoFailed(f"{who} heard the tone for less than {LEAST_HEARD_SECONDS} s.")


def show_callback(listener: CallbackListener, secret: Webhook) -> None:
    """Shows the callback, and verifies its signature as every receiver should. Raises DemoFailed."""
    callback = listener.wait(1, timeout=15)[0]
    try:
        secret.verify(callback.body, callback.headers)
    except WebhookVerificationError as error:
        raise DemoFailed(f"The signature of the callback is invalid: {error}") from error
    step(f"The callback arrived at {listener.url}, and its signature is valid:", callback.content)


def show_record(api: "Api", booking: dict[str, Any]) -> None:
    """Shows the record of the booking's last call, and what it has cost. Raises DemoFailed."""
    deadline = time.monotonic() + CDR_SECONDS
    while time.monotonic() < deadline:
        newest = api.get("/cdr?limit=1")["data"]
        if newest and newest[0]["service"] == booking["service"] and newest[0]["id"] != api.last_record:
            api.last_record = newest[0]["id"]
            step("GET /cdr returns the call record:", newest[0])
            now: dict[str, Any] = api.get(f"/bookings/{booking['id']}")
            step(
                f"The booking had {booking['secondsRemaining']} seconds and {booking['callsRemaining']} calls; "
                f"now {now['secondsRemaining']} seconds and {now['callsRemaining']} calls remain."
            )
            return
        time.sleep(0.1)
    raise DemoFailed(f"No call record appeared within {CDR_SECONDS:.0f} s.")


class Api:
    """The customer's API client, with the demo account's key."""

    def __init__(self, settings: Settings) -> None:
        self._base = f"http://{reachable(settings.http_host)}:{settings.http_port}"
        self._key = key_file(settings.data_dir).read_text().strip()
        # The newest call record that was there before, or that has been shown.
        self.last_record: str | None = None

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
