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
    """The carrier of that system; its line is registered."""
    with line(carrier_system) as opened:
        lines = {"line@1", "line@2"}
        carrier_system.until(lambda: lines <= opened.carrier.contacts.keys(), "the lines are registered")
        yield opened
