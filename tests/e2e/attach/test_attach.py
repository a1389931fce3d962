"""`asterisk-config` and `doctor` on a real Asterisk that was there before (R4)."""

from collections.abc import Iterator

import pytest

from engine.asterisk.attach_steps import RELOAD
from tests.e2e import canary
from tests.e2e.attach.attached import DEBIAN, FREEPBX, INCLUDE, TRANSPORT, AttachedSystem
from tests.e2e.calls import Caller

EXPOSING = {"asterisk modules", "asterisk CDR", "asterisk log"}
OURS = {"asterisk endpoints", "asterisk dialplan", "asterisk manager"}


class DebianSystem(AttachedSystem):
    """With the files of Debian's package, but on free ports of loopback."""

    def _make_home(self) -> None:
        super()._make_home()
        self.set_option("manager.conf", "port", self.settings.ami_port)
        self.set_option("rtp.conf", "rtpstart", self.settings.rtp_start)
        self.set_option("rtp.conf", "rtpend", self.settings.rtp_end)
        self.set_option("iax.conf", "bindaddr", "127.0.0.1")


@pytest.fixture(params=[DEBIAN, FREEPBX], ids=["Debian", "FreePBX"])
def attached(request: pytest.FixtureRequest) -> Iterator[AttachedSystem]:
    kind = DebianSystem if request.param == DEBIAN else AttachedSystem
    with kind(request.param) as system:
        yield system


def failed(system: AttachedSystem) -> set[str]:
    """The parts that `doctor` shows in red. Each of their findings names a file of this Asterisk."""
    findings = [each for part in system.doctor().values() for each in part]
    assert {each["part"] for each in findings} >= EXPOSING | OURS
    for each in findings:
        assert each["verdict"] in {"ok", "failed"}, each
        assert (each["verdict"] == "ok") or str(system.home.etc) in each["fix"], each
    return {each["part"] for each in findings if each["verdict"] == "failed"}


def call(system: AttachedSystem) -> None:
    """Makes a call to a rented number, which must be bridged."""
    system.wait_ready()
    booked, caller = system.book("LARGE"), Caller(system)
    with caller.hidden():
        assert caller.call(booked.service, "uac_hangs_up", talk=300).status == 200
    [cdr] = booked.wait_settled()
    assert (cdr["destination"], cdr["disposition"]) == (booked.destination, "ANSWERED")


def test_what_shows_a_hidden_number_is_red_until_the_printed_lines_are_there(attached: AttachedSystem) -> None:
    assert failed(attached) >= EXPOSING | OURS
    steps = attached.asterisk_config()

    # Only what calls need, and not what keeps the number hidden.
    needed = [step for step in steps if INCLUDE.fullmatch(step) or TRANSPORT.fullmatch(step)]
    for step in needed:
        attached.do(step)
    attached.restart_asterisk()
    call(attached)
    kept = canary.found_in_files(attached.home.log, attached.hidden)
    assert kept, "an Asterisk as it was installed keeps hidden numbers"
    red = failed(attached)
    assert red >= EXPOSING
    assert not red & OURS
    for name in kept:
        (attached.home.log / name).unlink()

    for step in steps:
        if step not in needed:
            attached.do(step)
    attached.restart_asterisk()
    assert attached.asterisk_config() == [RELOAD]
    assert failed(attached) == set()
    call(attached)
    # At its end the system looks for hidden numbers in all files, Asterisk's among them.
