"""R1: an encrypted backup is made and restored while a real call is up: the call ends, and is paid once."""

import math
import shutil
from pathlib import Path

import pytest

from engine.backup.install import KEPT
from tests.e2e.calls import Caller, Outcome, wait_talking
from tests.e2e.system import System

pytestmark = pytest.mark.sqlite_only

PASSPHRASE = "correct horse battery staple"
PLAN = {"SMALL": {"seconds": 60, "calls": 5, "valid_for": 3600}}


def test_a_call_that_is_up_during_backup_and_restore_is_ended_and_paid_once(tmp_path: Path) -> None:
    backup, phrase = tmp_path / "monday.backup", tmp_path / "passphrase"
    phrase.write_text(PASSPHRASE)
    secret = ("--passphrase-file", str(phrase))
    with System(plans=PLAN, longest_call=60, reconcile_interval=0.5) as system:
        caller, booked = Caller(system), system.book()
        with caller.hidden(), caller.dialling(booked.service) as talking:
            wait_talking(system, talking)
            made = system.command("backup", str(backup), "--with-secrets", *secret, "--json")
            assert (made["encrypted"], made["secrets"], made["bookings"] > 0) == (True, True, True)
            assert booked.destination[1:].encode() not in backup.read_bytes()
            later = system.book()
            system.stop_engine()
            done = system.command("restore", str(backup), "--yes", *secret, "--json")
            assert (done["callsSettled"], done["logIsComplete"]) == (1, True)
            shutil.rmtree(system.data_dir / KEPT)  # the old database; no other file may have a hidden number
            system.start_engine()
            system.wait_ready()
            assert talking.wait().succeeded == 1, "the engine ends a call that is settled"
            talked = Outcome(talking.messages()).talked
        [record] = booked.wait_settled()
        assert record["disposition"] == "LOST"
        assert talked is not None
        assert 1 <= record["duration"] <= math.ceil(talked)
        assert booked.now["secondsRemaining"] == 60 - record["duration"]
        assert caller.call(later.service).status == 404
        with caller.hidden():
            assert caller.call(booked.service, "uac_hangs_up", talk=100).status == 200
        assert system.command("ledger", "verify", "--json") == []
