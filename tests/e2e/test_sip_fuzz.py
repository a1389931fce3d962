"""A short run of `make fuzz`: mutated INVITEs at 200 a second harm neither Asterisk, the engine nor good calls."""

import random

import pytest

from tests.fuzz.mutants import MUTATIONS, Template, mutant
from tests.fuzz.run import Wanted, run

TEMPLATE = Template("+33199000001", "127.0.0.1:5060", "127.0.0.1:5061")


@pytest.mark.timeout(300)
def test_mutated_invites_do_no_harm(capsys: pytest.CaptureFixture[str]) -> None:
    report = run(Wanted(seed=7, count=2000, rate=200), lambda line: None)
    with capsys.disabled():
        print("", *report.lines(), sep="\n")  # noqa: T201  figures
    assert report.failures == []
    # The run was no empty one: Asterisk refused broken requests, and routed those that were still calls.
    assert report.flood.sent == 2000
    assert report.flood.answers[400] > 20
    assert report.decisions["bridge"] > 20
    assert report.good.succeeded >= 5


def test_the_same_seed_makes_the_same_mutants() -> None:
    first = [mutant(3, serial, TEMPLATE) for serial in range(300)]
    assert first == [mutant(3, serial, TEMPLATE) for serial in range(300)]
    assert first != [mutant(4, serial, TEMPLATE) for serial in range(300)]


def test_every_mutation_except_untouched_changes_something() -> None:
    original = mutant_of("untouched")
    unchanged = [mutation.__name__ for mutation in MUTATIONS if mutant_of(mutation.__name__) == original]
    assert unchanged == ["untouched"]


def mutant_of(name: str) -> list[bytes]:
    """Makes twenty mutants of one kind, each with its own random seed."""
    [mutation] = [each for each in MUTATIONS if each.__name__ == name]
    return [mutation(random.Random(serial), TEMPLATE.invite(serial, "+33199001234")) for serial in range(20)]
