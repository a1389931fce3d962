"""A system that runs well is said to."""

from tests.e2e.system import System


def test_every_part_of_a_running_system_is_ok(system: System) -> None:
    # The shared system's numbers may have been booked by other tests, its callbacks go nowhere, and it sweeps faster.
    findings = system.command("doctor", "--json")
    parts = {finding["part"]: finding for finding in findings}
    assert {"asterisk program", "data directory", "secrets", "database", "engine", "ami", "asterisk", "ledger"} <= {
        *parts
    }
    wrong = {part for part, finding in parts.items() if finding["verdict"] != "ok"}
    assert wrong <= {"numbers", "callbacks", "test switch"}
