"""`doctor` finds a healthy system healthy."""

from engine.local.running_asterisk import CHECKS
from tests.e2e.system import System


def test_every_part_of_a_running_system_is_ok(system: System) -> None:
    # Other tests may have booked all numbers of the shared system, its callbacks cannot be delivered, and it
    # sweeps faster than in production.
    findings = system.command("doctor", "--json")
    parts = {finding["part"]: finding for finding in findings}
    assert {"asterisk program", "data directory", "secrets", "database", "engine", "ami", "asterisk", "ledger"} <= {
        *parts
    }
    assert {part for part, _ in CHECKS} <= {*parts}
    wrong = {part for part, finding in parts.items() if finding["verdict"] != "ok"}
    assert wrong <= {"numbers", "callbacks", "test switch"}
