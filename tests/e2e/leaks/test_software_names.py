"""No message, session description or report tells a peer which software runs here.

docs/security.md lists what still tells it, by its form and not by a name: no setting changes that.
"""

from collections.abc import Iterable

import pytest

from phones.peer import Packet, Reply
from tests.e2e.leaks.media_lines import FOREIGN, VIDEO
from tests.e2e.leaks.scene import Scene, scene
from tests.e2e.leaks.system import LeakSystem

NAMES = (b"asterisk", b"digium", b"sangoma", b"pjsip", b"pjproject")
METHODS = ("OPTIONS", "REGISTER", "SUBSCRIBE", "MESSAGE", "PUBLISH", "NOTIFY", "INFO", "WHATEVER")


def _named(packets: Iterable[Packet]) -> list[bytes]:
    """The lines that name a program."""
    lines = (line for packet in packets for line in packet.data.split(b"\r\n"))
    return sorted({line for line in lines if any(name in line.lower() for name in NAMES)})


def _call(on: Scene, service: str, headers: Iterable[str] = ()) -> None:
    dialog, answer = on.call(service, headers)
    assert answer.status == 200
    on.stage.run(dialog.answered(dialog.request("INVITE", (), dialog.sound)))
    assert on.ask(dialog, "BYE") == 200


def test_no_peer_is_told_a_name(leak_system: LeakSystem) -> None:
    shown, withheld = leak_system.hide(), leak_system.hide()
    with scene(leak_system) as on:
        _call(on, shown.service)
        _call(on, withheld.service, ("Privacy: id",))
        for lines in ((FOREIGN,), (VIDEO,)):
            assert on.call(shown.service, (), lines)[1].status == 488
        assert on.call("+33199999999")[1].status == 404
        on.answer = Reply(603)
        assert on.call(shown.service)[1].status == 486
        for method in METHODS:
            assert on.ask_anew(on.carrier, method, shown.service) is not None
            on.ask_anew(on.other, method, shown.service)
            on.ask_anew(on.trunk, method, shown.service)
        on.quiet()
        assert on.other.packets
        reports = [packet for media in on.media for packet in media.reports]
        assert _named((*on.carrier.packets, *on.trunk.packets, *on.other.packets, *reports)) == []


@pytest.mark.parametrize("side", ["caller", "callee"])
def test_session_descriptions_have_no_name_and_no_user(leak_system: LeakSystem, side: str) -> None:
    called = leak_system.hide()
    with scene(leak_system) as on:
        dialog, _ = on.call(called.service)
        seen = dialog if side == "caller" else on.callee
        [described] = [each.text.partition("\n\n")[2] for each in seen.messages if "application/sdp" in each.text][:1]
        on.ask(dialog, "BYE")
    lines = described.splitlines()
    assert lines[2] == "s=-"
    assert lines[1].startswith("o=- ")
