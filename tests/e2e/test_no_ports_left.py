"""No more calls are let in than there are ports for, and without one Asterisk does not log whom it cannot dial."""

from phones.ports import free_port_range, give_back
from tests.e2e.attacked_system import attacked_system
from tests.e2e.calls import Caller

PORTS = 12


def test_calls_for_which_there_are_no_ports_are_refused_and_leave_no_hidden_number_in_the_log() -> None:
    rtp = free_port_range(PORTS)
    try:
        with attacked_system(rtp_start=rtp, rtp_end=rtp + PORTS - 1) as attacked:
            caller = Caller(attacked.system)
            with (
                caller.hidden(calls=20),
                caller.dialling(attacked.good.service, "uac_hangs_up", calls=10, keys={"talk": 1500}) as callers,
            ):
                assert 1 <= callers.wait().succeeded <= PORTS // 4
            assert attacked.good.destination[1:] not in attacked.system.asterisk_log
    finally:
        give_back(rtp, PORTS)
