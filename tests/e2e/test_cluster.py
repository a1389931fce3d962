"""A short run of `make cluster-chaos`, and a call of `make cluster-call`: a promotion under calls loses nothing."""

from pathlib import Path

import pytest

from cluster import call
from phones.demo_steps import console
from tests.cluster.plan import Kind, Wanted
from tests.cluster.run import run


def make_a_call(directory: Path) -> None:
    with console.capture() as shown:
        status = call.main(directory, both=False)
    assert status == 0, shown.get()
    assert "has the call" in shown.get()


@pytest.mark.timeout(180)
def test_a_promotion_under_calls_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = Wanted(seed=20, rounds=1, rate=6, crowd=0, moves=0, kinds=(Kind.PRIMARY_KILLED,))
    report = run(wanted, lambda line: None, make_a_call)
    with capsys.disabled():
        print("", *report.lines(), sep="\n")  # noqa: T201  figures
    assert report.failures == []
    # The run was no empty one.
    assert len(report.books.answered) > 10
    assert len(report.troubles.of(Kind.PRIMARY_KILLED)) == 1
