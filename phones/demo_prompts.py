"""Calls of `make call` in which somebody hears a prompt. Each is recorded, and the recording is compared with it."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.config.settings import Settings
from phones import prompts, tone
from phones.baresip import Baresip
from phones.demo_steps import (
    CALLEE_HZ,
    CALLER,
    CALLER_HZ,
    HIDDEN,
    TALK_SECONDS,
    Api,
    DemoFailed,
    book,
    caller_phone,
    check_sound,
    connected,
    console,
    hang_up_after,
    network_phone,
    secret_of,
    show_callback,
    show_record,
    step,
)
from phones.errors import CallEndedError, PhoneTimeoutError
from phones.listener import CallbackListener

# Another hidden number, so that its booking may be spent.
SPENT_HIDDEN = "+33199007003"
WHISPER, PRESS1, SPENT = "en/whisper", "en/press1", "en/spent"
ANNOUNCED = {"whisper": True, "screening": "press1", "language": "en"}
# Both prompts twice, and four seconds after each time.
LONGEST_RINGING = 30.0
GONE, NOBODY = 410, 480


def press1(settings: Settings) -> None:
    """A voicemail box answers, and is not charged; then somebody answers and presses 1."""
    api = Api(settings)
    with CallbackListener() as listener, tempfile.TemporaryDirectory() as directory:
        booking = book(api, HIDDEN, listener.url, **ANNOUNCED)
        heard_by_caller, heard_by_callee = Path(directory, "caller.wav"), Path(directory, "callee.wav")
        callee = network_phone(settings, heard_by_callee, answer="auto")
        caller = caller_phone(settings, heard_by_caller)
        with callee, caller:
            _leave_unanswered(callee, caller, booking["service"])
            _check_heard("The voicemail box", heard_by_callee, (WHISPER, PRESS1))
            _check_free(api, booking)
            _take(callee, caller, booking["service"])
        _check_heard("The hidden telephone", heard_by_callee, (WHISPER, PRESS1))
        check_sound("It then", heard_by_callee, CALLER_HZ)
        check_sound("The caller", heard_by_caller, CALLEE_HZ)
        if tone.duration(heard_by_caller) > TALK_SECONDS + 1:
            raise DemoFailed("The caller heard something before the key.")
        step("The caller heard nothing before the key.")
        show_record(api, booking)
    console.print("[green]✓[/] Done: voicemail cost nothing, and seconds counted from the key on.")


def _leave_unanswered(callee: Baresip, caller: Baresip, service: str) -> None:
    step(f"The caller {CALLER} dials the rented number {service}. A voicemail box answers behind it.")
    caller.dial(service)
    callee.wait_established()
    status = _refused(caller)
    callee.wait_closed()
    if status != NOBODY:
        raise DemoFailed(f"The caller got {status} instead of {NOBODY}.")
    step(f"It presses no key. The caller heard ringing all the time, and now gets {status}.")


def _refused(caller: Baresip) -> int | None:
    """Returns the SIP status with which the call is refused. Raises DemoFailed if it is connected."""
    try:
        caller.wait_established(LONGEST_RINGING)
    except CallEndedError as ended:
        return ended.ending.status
    raise DemoFailed("The call was connected.")


def _take(callee: Baresip, caller: Baresip, service: str) -> None:
    step("The caller dials once more. Now somebody answers, and listens.")
    caller.dial(service)
    callee.wait_established()
    length = sum(len(prompts.decoded(sound)) for sound in (WHISPER, PRESS1)) / tone.RATE
    with suppress(PhoneTimeoutError):
        caller.wait_established(length + 2)
        raise DemoFailed("The call was connected before the key.")
    callee.press("1")
    with connected():
        caller.wait_established()
    step("It presses 1: the two are connected.")
    hang_up_after(caller, TALK_SECONDS)
    callee.wait_closed()


def _check_heard(who: str, recording: Path, sounds: Sequence[str]) -> None:
    for sound, (begin, end, fit) in zip(sounds, prompts.heard(recording, sounds), strict=True):
        if fit < prompts.FITS:
            raise DemoFailed(f"{who} did not hear the prompt {sound} ({fit:.2f}).")
        step(f"{who} heard the prompt {sound} from {begin:.1f} to {end:.1f} s.")


def _check_free(api: Api, booking: dict[str, Any]) -> None:
    """Checks that the call which has just ended has cost nothing."""
    show_record(api, booking)
    now = api.get(f"/bookings/{booking['id']}")
    for credit in ("secondsRemaining", "callsRemaining"):
        if now[credit] != booking[credit]:
            raise DemoFailed(f"The call has cost something: {credit} was {booking[credit]} and is {now[credit]}.")


def expired_prompt(settings: Settings) -> None:
    """The minutes of a booking are used up: its caller hears so, and its customer gets a callback."""
    api, secret = Api(settings), secret_of(settings)
    with CallbackListener() as listener, tempfile.TemporaryDirectory() as directory:
        booking = book(api, SPENT_HIDDEN, listener.url, language="en")
        _spend(booking)
        recording = Path(directory, "caller.wav")
        with caller_phone(settings, recording) as caller:
            step(f"The caller {CALLER} dials the rented number {booking['service']}, whose minutes are used up.")
            began = time.monotonic()
            caller.dial(booking["service"])
            status = _refused(caller)
        if status != GONE:
            raise DemoFailed(f"The caller got {status} instead of {GONE}.")
        _check_heard("The caller", recording, (SPENT,))
        step(f"{time.monotonic() - began:.1f} s after dialling, the caller gets {status}; nobody is charged.")
        show_callback(listener, secret)
    console.print("[green]✓[/] Done: the caller heard why, and the customer knows of the call.")


def _spend(booking: dict[str, Any]) -> None:
    """Takes all seconds of a booking, as an operator does."""
    taken = ("--seconds", f"-{booking['secondsRemaining']}", "--reason", "make call expired-prompt")
    command = (sys.executable, "-m", "engine", "bookings", "adjust", booking["id"], *taken)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoFailed(f"The booking's seconds could not be taken: {done.stderr.strip()}")
    step("`rented-numbers bookings adjust` takes all of its seconds, as if they had been talked.")
