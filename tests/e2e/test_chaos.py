"""A short run of `make chaos`: the books and the telephones agree on every call, whatever was killed meanwhile."""

import pytest

from tests.chaos.plan import Wanted
from tests.chaos.run import run


@pytest.mark.timeout(300)
def test_whatever_is_killed_the_books_agree_with_the_telephones(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = Wanted(seed=20, engine_kills=8, asterisk_kills=2, rate=10)
    report = run(wanted, lambda line: None)
    with capsys.disabled():
        print("", *report.lines(), sep="\n")  # noqa: T201  figures, for whoever reads the tests' output
    assert report.failures == []
    # It was a test of something: calls were answered, and some were up in an Asterisk that was killed.
    assert len(report.books.answered) > 30
    assert len(report.trouble.engine) >= 8
    assert len(report.trouble.asterisk) == 2
