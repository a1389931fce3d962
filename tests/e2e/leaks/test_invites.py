"""An INVITE with any body and any extension: it is put through, or refused as RFC 3261 says, and then not charged.

RFC 3261, 8.2.3: 415 for a body that is not understood; 8.2.2.3: 420 for a required extension that is not. RFC 4028,
6: 422 for a session interval that is too small. RFC 5621: a part of a multipart body that is optional is skipped.
"""

from dataclasses import dataclass

import pytest

from phones.peer import Body, Media, sdp
from tests.e2e.leaks.scene import Scene, scene
from tests.e2e.leaks.system import LeakSystem

SDP = "application/sdp"
ISUP = ("application/isup", b"\x01\x10")
BOUNDARY = "part"


@dataclass(frozen=True)
class Case:
    """Headers and body of an INVITE. parts: types and contents; None stands for the description of sound."""

    status: int
    headers: tuple[str, ...] = ()
    parts: tuple[tuple[str, bytes | None], ...] = ((SDP, None),)
    multipart: str = ""


CASES = {
    "no body": Case(200, parts=()),
    "mixed: sound, ISUP": Case(200, parts=((SDP, None), ISUP), multipart="mixed"),
    "mixed: ISUP, sound": Case(200, parts=(ISUP, (SDP, None)), multipart="mixed"),
    "mixed: location, sound": Case(200, parts=(("application/pidf+xml", b"<p/>"), (SDP, None)), multipart="mixed"),
    "alternative: text, sound": Case(200, parts=(("text/plain", b"x"), (SDP, None)), multipart="alternative"),
    "mixed: ISUP": Case(415, parts=(ISUP,), multipart="mixed"),
    "ISUP": Case(415, parts=(ISUP,)),
    "text": Case(415, parts=(("text/plain", b"x"),)),
    "parameter of the type": Case(200, parts=((f"{SDP};charset=utf-8", None),)),
    "type in capitals": Case(200, parts=(("Application/SDP", None),)),
    # 415 would be right; PJSIP reads the compressed body as it is.
    "compressed": Case(400, ("Content-Encoding: gzip",), ((SDP, b"\x1f\x8b\x08"),)),
    "broken description": Case(400, parts=((SDP, b"v=0\r\nx"),)),
    **{f"Require: {name}": Case(200, (f"Require: {name}",)) for name in ("100rel", "timer")},
    **{
        f"Require: {name}": Case(420, (f"Require: {name}",))
        for name in ("replaces", "norefersub", "gruu", "outbound", "path", "precondition", "sec-agree", "foo")
    },
    "session interval of 30 s": Case(422, ("Session-Expires: 30", "Supported: timer")),
    "session interval of 90 s": Case(200, ("Session-Expires: 90", "Supported: timer")),
    "Replaces and Join of no call": Case(200, ("Replaces: a;to-tag=1;from-tag=2", "Join: a;to-tag=1;from-tag=2")),
    "preferences for the callee": Case(200, ("Accept-Contact: *;require;explicit;video", "Reject-Contact: *;audio")),
}  # fmt: skip


def _body(case: Case, media: Media) -> Body | None:
    parts = [(kind, sdp(media.local).content if content is None else content) for kind, content in case.parts]
    if not case.multipart:
        return Body(parts[0][1], parts[0][0]) if parts else None
    each = [f"--{BOUNDARY}\r\nContent-Type: {kind}\r\n\r\n".encode() + content + b"\r\n" for kind, content in parts]
    return Body(b"".join(each) + f"--{BOUNDARY}--\r\n".encode(), f"multipart/{case.multipart};boundary={BOUNDARY}")


async def _status(on: Scene, service: str, case: Case) -> int | None:
    media = Media.open("127.0.0.1")
    try:
        dialog = await on.carrier.dialog(service, on.system.asterisk, source="+33199007777")
        answer = await dialog.answered(dialog.request("INVITE", case.headers, _body(case, media)))
        if answer.status == 200:
            await dialog.answered(dialog.request("BYE"))
        return answer.status
    finally:
        media.close()


@pytest.mark.parametrize("name", CASES)
def test_an_invite_is_put_through_or_refused_as_the_standards_say(leak_system: LeakSystem, name: str) -> None:
    called = leak_system.hide()
    with scene(leak_system) as on:
        assert on.stage.run(_status(on, called.service, CASES[name])) == CASES[name].status
        assert len(on.dialled) == (CASES[name].status == 200)
        assert on.leaks(called) == []
