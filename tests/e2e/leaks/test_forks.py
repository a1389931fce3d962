"""A trunk that forks: several telephones answer one INVITE, each with a To tag of its own (RFC 3261, section 13.2.2.4).

The caller is connected with the first that answers, and pays for one call. Asterisk does not acknowledge a second 200
and does not end that dialog, which a caller's side should; no setting changes it. The test shows what happens, and
fails when a version of Asterisk does better.
"""

import pytest

from phones.messages import Message
from phones.peer import Dialog, Media, Reply, sdp
from phones.peer.writing import token
from tests.e2e.leaks.callee import HOST
from tests.e2e.leaks.scene import scene
from tests.e2e.leaks.system import LeakSystem


def _tagged(invite: Message, tag: str) -> tuple[str, ...]:
    return (f"To: {invite.header('To')};tag={tag}",)


def _requests(dialog: Dialog, tag: str) -> list[str]:
    """The requests that a telephone with this tag got, without repeated ones."""
    got = [each for each in dialog.messages if each.status is None and each.header("To").endswith(f"tag={tag}")]
    return list(dict.fromkeys(each.method for each in got))


@pytest.mark.parametrize("ringing", ["the first answers", "another answers"])
def test_of_two_telephones_that_answer_the_first_gets_the_call(leak_system: LeakSystem, ringing: str) -> None:
    called = leak_system.hide()
    first, second = token(), token()

    async def two_answer(dialog: Dialog) -> None:
        invite = dialog.invite
        assert invite is not None
        media = [Media.open(HOST), Media.open(HOST)]
        rings = second if ringing == "another answers" else first
        dialog.respond(invite, Reply(180, headers=_tagged(invite, rings)))
        for tag, each in zip((first, second), media, strict=True):
            dialog.tag = tag
            dialog.respond(invite, Reply(200, headers=_tagged(invite, tag), body=sdp(each.local)))
        await dialog.requested("BYE")
        for each in media:
            each.close()

    with scene(leak_system) as on:
        on.play = two_answer
        dialog, answer = on.call(called.service)
        assert answer.status == 200
        on.quiet()
        assert on.ask(dialog, "BYE") == 200
        on.quiet()
        assert _requests(on.callee, first) == ["ACK", "BYE"]
        assert _requests(on.callee, second) == []
        assert on.leaks(called) == []
    leak_system.until(lambda: leak_system.cdrs(called.service) != [], "the call is recorded")
    assert [(cdr["disposition"], cdr["duration"]) for cdr in leak_system.cdrs(called.service)] == [("ANSWERED", 1)]
