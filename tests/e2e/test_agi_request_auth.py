"""The engine answers only an Asterisk that has its token, and Asterisk never logs the token."""

from pathlib import Path

from engine.config import secrets
from tests.e2e.calls import Caller
from tests.e2e.system import System


def test_asterisk_logs_no_token_at_the_highest_log_level(system: System, caller: Caller) -> None:
    token = secrets.load(system.data_dir / "secrets").agi_token
    everything = Path(system.data_dir) / "asterisk" / "log" / "everything"
    system.asterisk_console("logger add channel everything verbose(10),notice,warning,error")
    try:
        booked = system.book("LARGE")
        with caller.hidden():
            assert caller.call(booked.service, "uac_hangs_up", talk=100).status == 200
        booked.wait_settled()
        shown = everything.read_text()
        shown += system.asterisk_console("core show channels verbose")
    finally:
        system.asterisk_console("logger remove channel everything")
        # At this level Asterisk logs the numbers that it dials, and no file may keep a hidden number.
        everything.unlink()
    assert "/route," in shown
    for report in ("answered", "ended"):
        assert f"RentedNumbers,Report: {report} " in shown
    assert token not in shown
    assert token not in system.engine_log


def test_an_asterisk_with_a_wrong_token_gets_no_answer(system: System, caller: Caller) -> None:
    booked = system.book("LARGE")
    path = system.data_dir / "secrets" / "agi_token"
    ours = path.read_text()
    system.stop_engine()
    path.write_text(ours.swapcase())
    system.start_engine()
    try:
        system.wait_ready()
        with caller.hidden() as hidden:
            assert caller.call(booked.service).status == 503
            assert hidden.messages() == []
        refusals = system.settings.security_log.read_text()
        assert 'SecurityEvent="InvalidPassword"' in refusals
        assert "AGI" in refusals
        assert booked.calls == []
    finally:
        system.stop_engine()
        path.write_text(ours)
        system.start_engine()
    system.wait_ready()
    with caller.hidden():
        assert caller.call(booked.service, "uac_hangs_up", talk=100).status == 200
