"""The table is played once; its tests look at what was seen."""

from collections.abc import Iterator

import pytest

from tests.e2e.leaks.run import LeakSystem, Played, Run
from tests.e2e.leaks.table import Cell, cells


@pytest.fixture(scope="package")
def leak_system() -> Iterator[LeakSystem]:
    system = LeakSystem()
    try:
        system.start()
        yield system
    finally:
        system.stop()


@pytest.fixture(scope="package")
def table(leak_system: LeakSystem) -> dict[Cell, Played]:
    return {played.cell: played for played in Run(leak_system, cells()).play()}
