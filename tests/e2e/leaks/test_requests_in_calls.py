"""Every SIP method in a call and outside of one: its answer, that the other side gets nothing, that the call stays.

What should come by the standards: RFC 3261, 8.2.1: 405 or 501 for a method that is not understood. RFC 6665, 4.2.1.2:
489 for an unknown event package. RFC 6086, 4.2.2: 469 for an unknown INFO package. RFC 3261, 8.2.3: 415 for an unknown
body. Outside of calls that is so. In a call Asterisk 22 does not answer what none of its modules answers:
res_pjsip_session takes every request for which a module has registered, res_pjsip itself has registered for every
method, and so PJSIP's own answer (500) is not sent either. No setting changes that. The only modules for MESSAGE and
REFER pass the text to the other side, or let an INVITE with Replaces take the call over, so they are not loaded.

None marks these. When a version of Asterisk answers one, this test fails, and the right status goes into the table.
"""

from dataclasses import dataclass

import pytest

from phones.peer import Body, Dialog
from tests.e2e.leaks.scene import ANSWER_SECONDS, PATIENCE, Scene, scene
from tests.e2e.leaks.system import LeakSystem

SECRET_TEXT = b"call me on my own number"


@dataclass(frozen=True)
class Case:
    """A request. inside, outside: the status that answers it in a call and outside of calls; None: no answer."""

    method: str
    inside: int | None
    outside: int | None
    headers: tuple[str, ...] = ()
    type: str = ""
    text: bytes = SECRET_TEXT

    @property
    def body(self) -> Body | None:
        return Body(self.text, self.type) if self.type else None


REFER_TO = "Refer-To: <sip:+33199009998@127.0.0.1>"
ACTIVE = "Subscription-State: active"
CASES = {
    "OPTIONS": Case("OPTIONS", 200, 200),
    "UPDATE": Case("UPDATE", 200, 501),
    "INFO": Case("INFO", 200, 501),
    "INFO, a key": Case("INFO", 200, 501, (), "application/dtmf-relay", b"Signal=5\r\nDuration=160"),
    "INFO, a picture please": Case("INFO", 200, 501, (), "application/media_control+xml", b"<media_control/>"),
    # 469 would be right. An INFO without a body is a keep-alive for Asterisk, whatever its package.
    "INFO, unknown package, no body": Case("INFO", 200, 501, ("Info-Package: foo",)),
    # 469, 415.
    "INFO, unknown package": Case("INFO", None, 501, ("Info-Package: foo",), "application/foo"),
    "INFO, unknown body": Case("INFO", None, 501, (), "application/x-unknown"),
    "INFO, text": Case("INFO", None, 501, (), "text/plain"),
    # 405.
    "MESSAGE": Case("MESSAGE", None, 501, (), "text/plain"),
    "MESSAGE, JSON": Case("MESSAGE", None, 501, (), "application/json"),
    "MESSAGE, empty": Case("MESSAGE", None, 501),
    "REFER": Case("REFER", None, 501, (REFER_TO,)),
    "REFER to nobody": Case("REFER", None, 501),
    # 489.
    "SUBSCRIBE": Case("SUBSCRIBE", None, 489, ("Event: presence", "Expires: 60")),
    "SUBSCRIBE, dialog": Case("SUBSCRIBE", None, 489, ("Event: dialog", "Expires: 60")),
    "SUBSCRIBE, no event": Case("SUBSCRIBE", None, 489),
    "PUBLISH": Case("PUBLISH", None, 489, ("Event: presence", "Expires: 60")),
    "NOTIFY": Case("NOTIFY", None, 501, ("Event: presence", ACTIVE)),
    "NOTIFY of a REFER": Case("NOTIFY", None, 501, ("Event: refer", ACTIVE), "message/sipfrag", b"SIP/2.0 200 OK"),
    "NOTIFY, no event": Case("NOTIFY", None, 501),
    # 501.
    "unknown method": Case("WHATEVER", None, 501),
    "unknown method with a body": Case("PING", None, 501, (), "text/plain"),
}


def _ask(on: Scene, dialog: Dialog, case: Case) -> int | None:
    async def ask() -> int | None:
        try:
            patience = PATIENCE if case.inside is None else ANSWER_SECONDS
            return (await dialog.answered(dialog.request(case.method, case.headers, case.body), patience)).status
        except TimeoutError:
            return None

    return on.stage.run(ask())


@pytest.mark.parametrize("side", ["caller", "callee"])
def test_no_request_in_a_call_reaches_the_other_side_or_ends_the_call(leak_system: LeakSystem, side: str) -> None:
    called = leak_system.hide()
    with scene(leak_system) as on:
        dialog, answer = on.call(called.service)
        assert answer.status == 200
        asking = dialog if side == "caller" else on.callee
        answers = {name: _ask(on, asking, case) for name, case in CASES.items()}
        on.quiet()
        assert answers == {name: case.inside for name, case in CASES.items()}
        assert on.dialled == [called.number]
        assert [each.method for each in dialog.messages if each.status is None] == []
        assert [each.method for each in on.callee.messages if each.status is None] == ["INVITE", "ACK"]
        assert not [each for each in (*on.carrier.packets, *on.trunk.packets) if SECRET_TEXT in each.data]
        assert on.ask(dialog, "BYE") == 200
        assert on.leaks(called) == []


def test_outside_of_calls_every_method_has_the_answer_of_the_standards(leak_system: LeakSystem) -> None:
    called = leak_system.hide()
    with scene(leak_system) as on:
        answers = {
            name: on.ask_anew(on.carrier, case.method, called.service, case.headers, case.text.decode())
            for name, case in CASES.items()
        }
        on.quiet()
        assert answers == {name: case.outside for name, case in CASES.items()}
        assert on.dialled == []
        # Asterisk may repeat the BYE of a call before, if its telephone went away before it answered.
        assert [each.data for each in on.trunk.packets if each.message.method != "BYE"] == []
