"""One system for most tests: Asterisk, engine and API start once, each test books numbers of its own."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from phones.listener import CallbackListener
from tests.e2e.attacked_system import AttackedSystem, attacked_system
from tests.e2e.calls import Caller
from tests.e2e.system import System

HERE = Path(__file__).parent
LOG_SHOWN = 4_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Beside a failure stands what the systems that are up say of it: why a call was refused, only they know."""
    report = yield
    if report.failed:
        for system in System.up:
            report.sections += [("engine log", system.engine_log[-LOG_SHOWN:])]
            report.sections += [("Asterisk's log", system.asterisk_log[-LOG_SHOWN:])]
    return report


@pytest.fixture(scope="session")
def shared_system() -> Iterator[System]:
    with System() as system:
        yield system


@pytest.fixture
def system(shared_system: System) -> System:
    """The shared system, up again whatever the test before did to its engine."""
    shared_system.wait_ready()
    return shared_system


@pytest.fixture
def caller(system: System) -> Caller:
    return Caller(system)


@pytest.fixture(scope="session")
def attacked() -> Iterator[AttackedSystem]:
    """Of its own, because what its engine is asked is written down."""
    with attacked_system() as attacked:
        yield attacked


@pytest.fixture
def listener() -> Iterator[CallbackListener]:
    with CallbackListener() as listening:
        yield listening
