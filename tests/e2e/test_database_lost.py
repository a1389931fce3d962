"""R1: no call is bridged on a database that was removed under the engine; a call that is up goes on and is settled."""

import pytest

from tests.e2e.calls import Caller, Outcome, is_charged, wait_talking
from tests.e2e.system import System

pytestmark = pytest.mark.sqlite_only


def test_callers_get_503_after_the_database_was_removed_until_it_is_back(system: System, caller: Caller) -> None:
    booked, idle = system.book("LARGE"), system.book("LARGE")
    database = system.settings.database
    away = database.with_name("away.sqlite3")
    with (
        caller.hidden(),
        caller.dialling(booked.service, "uac_hangs_up", keys={"talk": 3_500}) as talking,
    ):
        wait_talking(system, talking)
        database.rename(away)
        system.until(lambda: system.get("/ready").body["parts"]["database"] == "replaced", "it is noticed", 10)
        assert system.get("/health").status == 200
        assert system.request("PATCH", f"/bookings/{idle.id}", {"label": "lost"}).status == 503
        assert caller.call(idle.service).status == 503
        assert talking.wait().succeeded == 1
        talked = Outcome(talking.messages()).talked
    system.stop_engine()
    away.rename(database)
    system.start_engine()
    system.wait_ready()
    # Its end stands in the end spool.
    [record] = booked.wait_settled()
    assert (record["disposition"], is_charged(record["duration"], talked)) == ("ANSWERED", True)
    with caller.hidden():
        assert caller.call(idle.service, "uac_hangs_up", talk=100).status == 200
