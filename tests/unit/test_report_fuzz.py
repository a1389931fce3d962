"""Mutated reports and streams of the manager interface. `make fuzz` tries many more."""

import pytest

from tests.fuzz import reports

COUNT = 1500


@pytest.mark.parametrize("seed", [1, 2])
def test_no_mutant_is_taken_that_no_asterisk_made_and_no_whole_report_is_lost(seed: int) -> None:
    outcome = reports.run(seed, COUNT)
    assert outcome.failures == []
    # It was a test of something: mutants of each fate occurred.
    assert all(outcome.counts[fate] > COUNT / 100 for fate in ("lines refused", "lines taken")), outcome.counts
    assert all(outcome.counts[fate] > COUNT / 100 for fate in ("streams aborted", "streams taken")), outcome.counts
