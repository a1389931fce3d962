"""`make call CALL=reverse`: a call is missed, and the hidden telephone calls back without showing its number."""

import tempfile
from contextlib import suppress
from pathlib import Path

from engine.asterisk.softphones import SOFTPHONES
from engine.config.settings import Settings
from phones.baresip import Baresip
from phones.demo_steps import (
    CALLEE_HZ,
    CALLER,
    CALLER_HZ,
    TALK_SECONDS,
    Api,
    book,
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
    trunk_port,
)
from phones.errors import CallEndedError
from phones.listener import CallbackListener

HIDDEN_PHONE = SOFTPHONES[0]


def reverse(settings: Settings) -> None:
    """The caller gives up; the hidden telephone calls back, and the caller sees the rented number."""
    api, secret = Api(settings), secret_of(settings)
    with CallbackListener() as listener, tempfile.TemporaryDirectory() as directory:
        booking = book(api, HIDDEN_PHONE.number, listener.url, reverse=True)
        heard_by_caller, heard_by_hidden = Path(directory, "caller.wav"), Path(directory, "hidden.wav")
        # On the telephone network: it calls, and it is called over the trunk.
        caller = caller_phone(settings, heard_by_caller, port=trunk_port(settings))
        hidden = softphone(settings, HIDDEN_PHONE, CALLEE_HZ, heard_by_hidden)
        with caller, hidden:
            hidden.wait_registered()
            _miss(caller, hidden, booking["service"])
            show_record(api, booking)
            _call_back(hidden, caller, booking["service"])
        check_sound("The caller", heard_by_caller, CALLEE_HZ)
        check_sound("The hidden telephone", heard_by_hidden, CALLER_HZ)
        show_record(api, booking)
        show_callback(listener, secret)
    console.print("[green]✓[/] Done: the two talked, on one booking, and neither learnt the other's number.")


def _miss(caller: Baresip, hidden: Baresip, service: str) -> None:
    step(f"The caller {CALLER} dials the rented number {service}.")
    caller.dial(service)
    hidden.wait_ringing()
    step(f"The hidden telephone {HIDDEN_PHONE.number} rings. The caller gives up.")
    caller.hangup()
    for telephone in (caller, hidden):
        with suppress(CallEndedError):
            telephone.wait_closed()


def _call_back(hidden: Baresip, caller: Baresip, service: str) -> None:
    step(f"The hidden telephone dials the same number, {service}.")
    hidden.dial(service)
    with connected():
        caller.wait_ringing()
        check_shown(caller, CALLER, service, HIDDEN_PHONE.number)
        caller.accept()
        hidden.wait_established()
    hang_up_after(hidden, TALK_SECONDS, "The hidden telephone")
    caller.wait_closed()
