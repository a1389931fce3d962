"""The scripted SIP peer against itself: calls over UDP, TCP and TLS, sound, keys, and any bytes at any moment."""

import ssl
from collections.abc import Iterator

import pytest
import trustme

from phones.peer import Dialog, Media, Peer, Reply, Stage, keys_of, media_of, payload_of, sdp, user_of
from phones.peer.wire import SipTransport

SOURCE = "+33199007777"


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


async def _answer(dialog: Dialog) -> None:
    dialog.answer(Reply(180, "Any words", ("Alert-Info: <urn:x>", "Contact: <sip:elsewhere@127.0.0.1>")))
    dialog.answer(Reply(200, body=sdp(("127.0.0.1", 20000), lines=("s=named", "i=more", "a=x"))))


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_a_call_is_made_answered_and_ended(transport: SipTransport) -> None:
    authority, certificate = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(certificate)
    callee = await Peer.open(
        "127.0.0.1", play=_answer, tcp=transport == "tcp", tls=certificate if transport == "tls" else None
    )
    caller = await Peer.open("127.0.0.1")
    caller.trusts = ssl.create_default_context()
    authority.configure_trust(caller.trusts)
    try:
        dialog = await caller.dialog("+33199000001", callee.local, source=SOURCE, transport=transport)
        answer = await dialog.answered(dialog.request("INVITE", ("Subject: x",), sdp(("127.0.0.1", 20002))))
        [other] = callee.calls.values()
        await other.requested("ACK")
        assert (answer.status, media_of(answer)) == (200, ("127.0.0.1", 20000))
        ringing = dialog.messages[0]
        assert ringing.start_line == "SIP/2.0 180 Any words"
        assert ringing.headers("Contact") == ["<sip:elsewhere@127.0.0.1>"]
        body = answer.text.partition("\n\n")[2].splitlines()
        assert (body[2], body[3], body[-1]) == ("s=named", "i=more", "a=x")
        assert other.invite is not None
        assert (user_of(other.invite.start_line.split()[1]), other.invite.header("Subject")) == ("+33199000001", "x")
        # From either side, with the tags that both have.
        assert (await other.answered(other.request("UPDATE"))).status == 200
        assert (await dialog.answered(dialog.request("BYE"))).status == 200
        assert [each.method for each in other.messages] == ["INVITE", "ACK", "UPDATE", "BYE"]
        assert [packet.data for packet in caller.packets] == [packet.data for packet in dialog.received]
    finally:
        await caller.close()
        await callee.close()


async def test_a_request_that_comes_again_gets_the_same_answer_again() -> None:
    callee = await Peer.open("127.0.0.1", play=_answer)
    caller = await Peer.open("127.0.0.1")
    try:
        dialog = await caller.dialog("1", callee.local, source=SOURCE)
        await dialog.answered(dialog.request("INVITE"))
        dialog.send(dialog.sent[0])
        [other] = callee.calls.values()
        await dialog.answered(dialog.request("BYE"))
        answers = [packet.data for packet in dialog.received if packet.message.status == 200]
        assert answers[0] == answers[1] != answers[2]
        assert [each.method for each in other.messages].count("INVITE") == 2
    finally:
        await caller.close()
        await callee.close()


async def test_a_call_can_be_cancelled_and_what_belongs_to_no_call_is_kept() -> None:
    async def ring(dialog: Dialog) -> None:
        dialog.answer(Reply(180))
        await dialog.requested("CANCEL")
        dialog.answer(Reply(487))

    callee = await Peer.open("127.0.0.1", play=ring)
    caller = await Peer.open("127.0.0.1")
    try:
        dialog = await caller.dialog("1", callee.local, source=SOURCE)
        number = dialog.request("INVITE")
        await dialog.until(lambda each: each.status == 180)
        dialog.cancel()
        assert (await dialog.answered(number)).status == 487
        [other] = callee.calls.values()
        await other.requested("ACK")
        stray = await caller.dialog("", callee.local, source=SOURCE)
        stray.send(b"\0 nothing that anybody knows")
        with pytest.raises(TimeoutError):
            await stray.answered(stray.request("OPTIONS"), 0.2)
        assert [packet.data[:1] for packet in callee.strays] == [b"\0", b"O"]
    finally:
        await caller.close()
        await callee.close()


async def test_sound_keys_and_reports_arrive_as_they_were_sent() -> None:
    one, other = Media.open("127.0.0.1"), Media.open("127.0.0.2")
    try:
        assert one.local[1] % 2 == other.local[1] % 2 == 0
        await one.stream(b"word", other.local, 2)
        await one.press("1#", other.local)
        one.report(b"a name", (other.local[0], other.local[1] + 1))
        await one.stream(b"last", other.local, 1)
        assert [payload_of(packet) for packet in other.received][:2] == [b"word", b"word"]
        assert keys_of(other.received) == "111###"
        assert [b"a name" in packet.data for packet in other.reports] == [True]
        assert {packet.source for packet in other.received} == {one.local}
        assert [packet.at for packet in other.received] == sorted(packet.at for packet in other.received)
    finally:
        one.close()
        other.close()


def test_a_stage_plays_while_others_do_something_else_and_ends_what_is_left(stage: Stage) -> None:
    peer = stage.run(Peer.open("127.0.0.1"))
    dialog = stage.run(peer.dialog("1", ("127.0.0.1", peer.local[1]), source=SOURCE))
    waiting = stage.start(dialog.requested("BYE"))
    assert not waiting.done()
    stage.run(peer.close())
