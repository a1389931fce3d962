"""`make call CALL=pair`: two people call one rented number and reach each other; a stranger is asked for a PIN."""

import tempfile
import time
from pathlib import Path
from typing import Any

from engine.asterisk.softphones import SOFTPHONES, Softphone
from engine.bookings.shared_numbers import share
from engine.cli.database import run_command
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.domain.numbers import NumberState
from phones.baresip import Baresip
from phones.demo_steps import (
    CALLEE_HZ,
    CALLER,
    CALLER_HZ,
    TALK_SECONDS,
    Api,
    DemoFailed,
    caller_phone,
    check_shown,
    check_sound,
    connected,
    console,
    hang_up_after,
    secret_of,
    show_callback,
    show_record,
    softphone,
    step,
)
from phones.errors import CallEndedError
from phones.listener import CallbackListener

FIRST, SECOND = SOFTPHONES
UNKNOWN = 404
# Until the caller hears the question for a PIN, and until a caller who keys in none has heard why the call is refused.
QUESTION_SECONDS = 1.5
STRANGER_SECONDS = 30.0


def pair(settings: Settings) -> None:
    """Each of the two calls the other over the same number. A stranger reaches the second with a PIN, or nobody."""
    api, secret = Api(settings), secret_of(settings)
    with CallbackListener() as listener, tempfile.TemporaryDirectory() as directory:
        booking = _book(settings, api, listener.url)
        heard_by_first, heard_by_second = Path(directory, "first.wav"), Path(directory, "second.wav")
        first = softphone(settings, FIRST, CALLER_HZ, heard_by_first)
        second = softphone(settings, SECOND, CALLEE_HZ, heard_by_second)
        with first, second:
            for phone in (first, second):
                phone.wait_registered()
            for (caller, calls), (callee, called) in (
                ((first, FIRST), (second, SECOND)),
                ((second, SECOND), (first, FIRST)),
            ):
                _call(caller, calls, callee, called, booking["service"])
                show_record(api, booking)
            if pin := booking["participants"][0]["pin"]:
                _call_with_pin(settings, pin, second, booking["service"], Path(directory, "elsewhere.wav"))
                show_record(api, booking)
        check_sound("The first", heard_by_first, CALLEE_HZ)
        check_sound("The second", heard_by_second, CALLER_HZ)
        show_callback(listener, secret)
        _stranger(settings, booking["service"], Path(directory, "stranger.wav"))
    console.print("[green]✓[/] Done: the two talked each time, on one booking, and neither learnt the other's number.")


def _book(settings: Settings, api: Api, callback: str) -> dict[str, Any]:
    """Renews the pair of an earlier run, or shares a number and books one."""
    api.last_record = next((each["id"] for each in api.get("/cdr?limit=1")["data"]), None)
    wanted: dict[str, Any] = {"usagePlan": "SMALL", "callback": callback}
    for booking in api.get("/bookings?includeExpired=true&limit=100")["data"]:
        if {each["number"] for each in booking["participants"] or ()} == {FIRST.number, SECOND.number}:
            renewed: dict[str, Any] = api.request("PUT", f"/bookings/{booking['id']}", wanted)
            step(f"PUT /bookings/{booking['id']} renews the pair of an earlier run:", renewed)
            return renewed
    shared = run_command(settings, lambda tx: share(tx, tx.numbers.page("", NumberState.FREE, 1)[0].e164))
    step(f"`rented-numbers numbers share {shared.e164}` lets pairs have this number.")
    wanted["pins"] = policy_of(settings).speaks
    participants = [{"number": FIRST.number, "label": "First"}, {"number": SECOND.number, "label": "Second"}]
    booked: dict[str, Any] = api.request(
        "POST", "/bookings", {"participants": participants, "service": shared.e164, **wanted}
    )
    step("POST /bookings books the pair:", booked)
    return booked


def _call(caller: Baresip, calls: Softphone, callee: Baresip, called: Softphone, service: str) -> None:
    step(f"{calls.number} dials {service}.")
    caller.dial(service)
    with connected():
        callee.wait_ringing()
        check_shown(callee, called.number, service, calls.number)
        callee.accept()
        caller.wait_established()
    hang_up_after(caller, TALK_SECONDS, calls.number)
    callee.wait_closed()


def _call_with_pin(settings: Settings, pin: str, callee: Baresip, service: str, record: Path) -> None:
    with caller_phone(settings, record) as phone:
        step(f"The first one dials {service} from another telephone, {CALLER}, and keys in the PIN {pin}.")
        phone.dial(service)
        time.sleep(QUESTION_SECONDS)
        phone.press(pin)
        with connected():
            callee.wait_ringing()
            check_shown(callee, SECOND.number, service, CALLER)
            callee.accept()
            phone.wait_established()
        hang_up_after(phone, TALK_SECONDS)
        callee.wait_closed()


def _stranger(settings: Settings, service: str, record: Path) -> None:
    with caller_phone(settings, record) as phone:
        step(f"A stranger, {CALLER}, dials {service}, and keys in nothing.")
        phone.dial(service)
        try:
            phone.wait_established(timeout=STRANGER_SECONDS)
        except CallEndedError as ended:
            if ended.ending.status == UNKNOWN:
                step(f"The answer is SIP {UNKNOWN}, as for an unknown number.")
                return
            raise DemoFailed(f"The answer is {ended.ending.status} {ended.ending.reason}.") from ended
    raise DemoFailed("The stranger was put through.")
