"""A booking that a test has made, with what the API returns for it and its calls."""

import itertools
import random
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a system makes bookings
    from tests.e2e.system import System


# In an order of its own in each run, and each once before any comes again.
_FICTIONAL = itertools.cycle(random.SystemRandom().sample(range(1000, 6000), 5000))


@dataclass(frozen=True)
class Booking:
    system: "System"
    id: str
    service: str
    destination: str

    @property
    def now(self) -> dict[str, Any]:
        answer = self.system.get(f"/bookings/{self.id}")
        assert answer.status == 200, answer
        body: dict[str, Any] = answer.body
        return body

    @property
    def calls(self) -> list[dict[str, Any]]:
        return self.system.cdrs(self.service)

    def wait_settled(self, calls: int = 1) -> list[dict[str, Any]]:
        """Waits for this number of call records and returns all."""
        self.system.until(lambda: len(self.calls) >= calls, f"{calls} call records")
        return self.calls


def fictional_number() -> str:
    """A number of +33 1 99 00 xx xx, reserved for fiction, that neither the demo nor a test uses by name."""
    return f"+3319900{next(_FICTIONAL)}"


def share(system: "System", number: str) -> str:
    """Lets pairs share a free number, and returns it."""
    system.command("numbers", "share", number, "--json")
    return number


def import_numbers(system: "System", numbers: Iterable[str]) -> None:
    """Adds numbers to the pool."""
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as pool:
        pool.writelines(f"{number}\n" for number in numbers)
        pool.flush()
        system.command("numbers", "import", pool.name, "--json")
