"""One system for most tests: Asterisk, engine and API start once, and each test makes its own bookings."""

from collections.abc import Generator, Iterator
from itertools import count
from pathlib import Path

import pytest

from engine.config.postgres_address import PostgresAddress
from phones.listener import CallbackListener
from phones.ports import free_port
from tests.e2e.attacked_system import AttackedSystem, attacked_system
from tests.e2e.calls import Caller
from tests.e2e.environment import PLANS
from tests.e2e.system import System
from tests.postgresql_server import database_named, postgres_server

HERE = Path(__file__).parent
LOG_SHOWN = 4_000


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=["sqlite", "postgresql"],
        default="sqlite",
        help="the database of the systems that name none; with postgresql, tests that need not run again are left out",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
    if _is_on_postgresql(config):
        config.hook.pytest_deselected(items=[item for item in items if _runs_once(item)])
        items[:] = [item for item in items if not _runs_once(item)]


def _runs_once(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in ("sqlite_only", "runs_once"))


def _is_on_postgresql(config: pytest.Config) -> bool:
    # The option is there if tests/e2e or some of its tests are named on the command line.
    return bool(config.getoption("--database", "sqlite") == "postgresql")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the logs of the running systems to a failure: only the logs show why a call was refused."""
    report = yield
    if report.failed:
        for system in System.up:
            report.sections += [("engine log", system.engine_log[-LOG_SHOWN:])]
            report.sections += [("Asterisk's log", system.asterisk_log[-LOG_SHOWN:])]
    return report


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresAddress]:
    """A PostgreSQL server."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def default_database(request: pytest.FixtureRequest) -> Iterator[None]:
    """With --database=postgresql, each system that names no database gets one on the server."""
    if _is_on_postgresql(request.config):
        server, numbers = request.getfixturevalue("server"), count(1)
        System.new_database = lambda: database_named(server, f"system_{next(numbers)}")
    yield
    System.new_database = None


@pytest.fixture(scope="session")
def shared_system() -> Iterator[System]:
    with System() as system:
        yield system


@pytest.fixture
def system(shared_system: System) -> System:
    """The shared system, ready again after whatever the previous test did to its engine."""
    shared_system.wait_ready()
    return shared_system


@pytest.fixture
def caller(system: System) -> Caller:
    return Caller(system)


@pytest.fixture(scope="session")
def attacked() -> Iterator[AttackedSystem]:
    """A system of its own, because it records its engine's AGI requests."""
    with attacked_system() as attacked:
        yield attacked


@pytest.fixture(scope="module")
def with_phones() -> Iterator[System]:
    """A system with the telephones in the browser."""
    plans = PLANS | {"LARGE": {"seconds": 60, "calls": 25, "valid_for": 3600}}
    with System(browser_phone=True, browser_phone_port=free_port(), plans=plans, longest_call=30) as system:
        yield system


@pytest.fixture
def listener() -> Iterator[CallbackListener]:
    with CallbackListener() as listening:
        yield listening
