"""`make call CALL=reverse`: a call is missed, and the hidden telephone calls back without showing its number."""

import tempfile
from contextlib import suppress
from pathlib import Path

from standardwebhooks import Webhook

from engine.asterisk.softphones import SOFTPHONES
from engine.config.secrets import load
from engine.config.settings import Settings
from engine.config.types import reachable
from engine.local.demo import webhook_secret_file
from phones.baresip import Baresip
from phones.demo_steps import (
    CALLEE_HZ,
    CALLER,
    CALLER_HZ,
    TALK_SECONDS,
    Api,
    DemoFailed,
    book,
    check_sound,
    console,
    hang_up_after,
    show_record,
    step,
    trunk_port,
    verify,
)
from phones.errors import CallEndedError
from phones.listener import CallbackListener

# Its password shows who calls, as the word of a carrier does.
HIDDEN_PHONE = SOFTPHONES[0]


def reverse(settings: Settings) -> None:
    """The caller gives up; the hidden telephone calls back, and the caller sees the rented number."""
    api = Api(settings)
    signed_with = Webhook(webhook_secret_file(settings.data_dir).read_text().strip())
    server = f"{reachable(settings.sip_host)}:{settings.sip_port}"
    password = load(settings.data_dir / "secrets").softphone1_password
    with CallbackListener() as listener, tempfile.TemporaryDirectory() as directory:
        booking = book(api, HIDDEN_PHONE.number, listener.url, reverse=True)
        heard_by_caller, heard_by_hidden = Path(directory, "caller.wav"), Path(directory, "hidden.wav")
        # On the telephone network: it calls, and it is called over the trunk.
        caller = Baresip(CALLER, server=server, port=trunk_port(settings), tone=CALLER_HZ, record=heard_by_caller)
        hidden = Baresip(HIDDEN_PHONE.user, server=server, password=password, tone=CALLEE_HZ, record=heard_by_hidden)
        with caller, hidden:
            hidden.wait_registered()
            _miss(caller, hidden, booking["service"])
            show_record(api, booking)
            _call_back(hidden, caller, booking["service"])
        check_sound("The caller", heard_by_caller, CALLEE_HZ)
        check_sound("The hidden telephone", heard_by_hidden, CALLER_HZ)
        show_record(api, booking)
        callback = listener.wait(1, timeout=15)[0]
        verify(signed_with, callback)
        step(f"The callback arrived at {listener.url}, and its signature is valid:", callback.content)
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
    try:
        caller.wait_ringing()
        if service not in caller.peer or HIDDEN_PHONE.number in caller.peer:
            raise DemoFailed(f"The caller sees {caller.peer}.")
        step(f"The telephone of {CALLER} rings, and shows {service}.")
        caller.accept()
        hidden.wait_established()
    except CallEndedError as ended:
        raise DemoFailed(f"The call was refused: {ended.ending.status} {ended.ending.reason}") from ended
    hang_up_after(hidden, TALK_SECONDS, "The hidden telephone")
    caller.wait_closed()
