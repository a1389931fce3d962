"""One system with a trunk of each kind, for all tests of carriers."""

from collections.abc import Iterator

import pytest

from tests.e2e.carriers.system import CarrierSystem, Line, line


@pytest.fixture(scope="package")
def carrier_system() -> Iterator[CarrierSystem]:
    with CarrierSystem() as system:
        yield system


@pytest.fixture(scope="package")
def on(carrier_system: CarrierSystem) -> Iterator[Line]:
    """The carrier of that system."""
    with line(carrier_system) as opened:
        yield opened
