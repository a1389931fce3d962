"""`asterisk-config` and `doctor` on a real Asterisk that was there before (R4)."""

import re
from dataclasses import dataclass

import pytest

from engine.asterisk.attach_steps import RELOAD
from tests.e2e import canary
from tests.e2e.attach.attached import DEBIAN, FREEPBX, INCLUDE, TRANSPORT, AttachedSystem
from tests.e2e.calls import Caller

OURS = {"asterisk endpoints", "asterisk dialplan", "asterisk manager"}


class DebianSystem(AttachedSystem):
    """With the files of Debian's package, but on free ports of loopback."""

    files = DEBIAN

    def _make_home(self) -> None:
        super()._make_home()
        self.set_option("manager.conf", "port", self.settings.ami_port)
        self.set_option("rtp.conf", "rtpstart", self.settings.rtp_start)
        self.set_option("rtp.conf", "rtpend", self.settings.rtp_end)
        self.set_option("iax.conf", "bindaddr", "127.0.0.1")


class FreePbxSystem(AttachedSystem):
    """With files laid out like FreePBX's."""

    files = FREEPBX


@dataclass(frozen=True)
class Found:
    """An Asterisk as it was installed.

    Attributes:
        kind: Its files.
        red: What `doctor` finds once our own files are there.
        named: Which files have to be changed.
        kept: Which logs and records keep a hidden number.
    """

    kind: type[AttachedSystem]
    red: set[str]
    named: set[str]
    kept: set[str]


INSTALLED = [
    Found(
        DebianSystem,
        {"asterisk modules", "asterisk CDR", "asterisk log"},
        {"modules.conf", "logger.conf"},
        {"cdr-csv/Master.csv"},
    ),
    Found(
        FreePbxSystem,
        {"asterisk modules", "asterisk CDR", "asterisk CEL", "asterisk log"},
        {"modules.conf", "logger_logfiles_additional.conf"},
        {"cdr-custom/Master.csv", "cel-custom/Master.csv", "full"},
    ),
]


def failed(system: AttachedSystem) -> dict[str, set[str]]:
    """The parts that `doctor` shows in red, each with the files of Asterisk's that it names."""
    red: dict[str, set[str]] = {}
    for finding in (each for part in system.doctor().values() for each in part):
        assert finding["verdict"] in {"ok", "failed"}, finding
        if finding["verdict"] == "failed":
            named = re.findall(rf"{system.home.etc}/([\w.]+\.conf)", finding["fix"])
            assert named, finding
            red.setdefault(finding["part"], set()).update(named)
    return red


def call(system: AttachedSystem) -> None:
    """Makes a call to a rented number, which must be bridged."""
    system.wait_ready()
    booked, caller = system.book("LARGE"), Caller(system)
    with caller.hidden():
        assert caller.call(booked.service, "uac_hangs_up", talk=300).status == 200
    [cdr] = booked.wait_settled()
    assert (cdr["destination"], cdr["disposition"]) == (booked.destination, "ANSWERED")


@pytest.mark.parametrize("found", INSTALLED, ids=["Debian", "FreePBX"])
def test_what_shows_a_hidden_number_is_red_until_the_printed_lines_are_there(found: Found) -> None:
    with found.kind() as attached:
        assert set(failed(attached)) >= found.red | OURS
        steps = attached.asterisk_config()

        # Only what calls need, and not what keeps the number hidden.
        needed = [step for step in steps if INCLUDE.fullmatch(step) or TRANSPORT.fullmatch(step)]
        for step in needed:
            attached.do(step)
        attached.restart_asterisk()
        attached.start_engine()
        call(attached)
        kept = canary.found_in_files(attached.home.log, attached.hidden)
        assert set(kept) == found.kept
        red = failed(attached)
        assert set(red) == found.red
        assert set().union(*red.values()) == found.named
        for name in kept:
            (attached.home.log / name).unlink()

        for step in steps:
            if step not in needed:
                attached.do(step)
        attached.restart_asterisk()
        assert attached.asterisk_config() == [RELOAD]
        assert failed(attached) == {}
        call(attached)
        # At its end the system looks for hidden numbers in all files, Asterisk's among them.
