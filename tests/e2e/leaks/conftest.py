"""One system for all leak tests."""

from collections.abc import Iterator

import pytest

from tests.e2e.leaks.system import LeakSystem


@pytest.fixture(scope="package")
def leak_system() -> Iterator[LeakSystem]:
    with LeakSystem() as system:
        yield system
