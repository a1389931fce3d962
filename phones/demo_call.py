"""`make call`: makes one real call on a running system, from the booking to the callback, and shows each step.

It plays all parts outside the system: the customer (over HTTP), a caller on the telephone network, the hidden telephone
behind the trunk, and the receiver of the callback. `make call CALL=…` shows another kind of call, see CALLS.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.markup import escape

from engine.cli.errors import EXPECTED, messages_of
from engine.config.settings import Settings
from phones.baresip import Baresip
from phones.demo_pair import pair
from phones.demo_prompts import expired_prompt, press1
from phones.demo_reverse import reverse
from phones.demo_steps import (
    CALLEE_HZ,
    CALLER,
    CALLER_HZ,
    HIDDEN,
    TALK_SECONDS,
    Api,
    DemoFailed,
    alone,
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
from phones.errors import PhoneError
from phones.listener import CallbackListener


def main(words: list[str]) -> int:
    """Makes the call of that name, by default a plain one. Returns exit status 0 if all went as it should, else 1."""
    try:
        call, settings = _chosen(words), Settings()
        with alone(settings):
            call(settings)
    except (DemoFailed, PhoneError) as error:  # first: a PhoneTimeoutError is an OSError too
        problems = [str(error)]
    except EXPECTED as error:
        problems = messages_of(error)
    else:
        return 0
    for problem in problems:
        console.print(f"[red]✗[/] {escape(problem)}", soft_wrap=True)
    return 1


def _chosen(words: list[str]) -> Callable[[Settings], None]:
    call = CALLS.get(words[0] if words else "")
    if call is None:
        raise DemoFailed(f"CALL is one of {', '.join(name for name in CALLS if name)}.")
    return call


def plain(settings: Settings, on_answer: Callable[[], None] = lambda: None) -> None:
    """Makes a plain call. `on_answer` is called while the two talk."""
    api, secret = Api(settings), secret_of(settings)
    with CallbackListener() as listener, tempfile.TemporaryDirectory() as directory:
        booking = book(api, HIDDEN, listener.url)
        heard_by_caller, heard_by_callee = Path(directory, "caller.wav"), Path(directory, "callee.wav")
        network = network_phone(settings, heard_by_callee, answer="none")
        caller = caller_phone(settings, heard_by_caller)
        with network, caller:
            _call(network, caller, booking["service"], on_answer)
        check_sound("The caller", heard_by_caller, CALLEE_HZ)
        check_sound("The hidden telephone", heard_by_callee, CALLER_HZ)
        show_record(api, booking)
        show_callback(listener, secret)
    console.print("[green]✓[/] Done: the call was connected, metered and recorded, and the callback was sent.")


def _call(network: Baresip, caller: Baresip, service: str, on_answer: Callable[[], None]) -> None:
    step(f"The caller {CALLER} dials the rented number {service}.")
    caller.dial(service)
    with connected():
        network.wait_ringing()
        step(f"The hidden telephone {HIDDEN} rings, behind the trunk.")
        time.sleep(1)
        network.accept()
        caller.wait_established()
    step(f"It answers. The caller plays a tone of {CALLER_HZ} Hz, the hidden telephone one of {CALLEE_HZ} Hz.")
    on_answer()
    hang_up_after(caller, TALK_SECONDS)
    network.wait_closed()


CALLS: dict[str, Callable[[Settings], None]] = {
    "": plain,
    "press1": press1,
    "expired-prompt": expired_prompt,
    "reverse": reverse,
    "pair": pair,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
