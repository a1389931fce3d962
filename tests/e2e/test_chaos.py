"""A short run of `make chaos`: database and telephones agree on every call, although processes are killed."""

import pytest

from tests.chaos.plan import Wanted
from tests.chaos.run import run


@pytest.mark.timeout(300)
def test_the_database_agrees_with_the_telephones_after_kills(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = Wanted(seed=20, engine_kills=8, asterisk_kills=2, rate=10)
    report = run(wanted, lambda line: None)
    with capsys.disabled():
        print("", *report.lines(), sep="\n")  # noqa: T201  figures
    assert report.failures == []
    # The run was no empty one: calls were answered, and every planned kill happened.
    assert len(report.books.answered) > 30
    assert len(report.trouble.engine) >= 8
    assert len(report.trouble.asterisk) == 2
