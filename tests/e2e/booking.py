"""A booking that a test has made: what the API says of it, and of its calls."""

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a system makes bookings
    from tests.e2e.system import System


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
        """The call records, once there are that many."""
        self.system.until(lambda: len(self.calls) >= calls, f"{calls} call records")
        return self.calls


def fictional_number() -> str:
    """+33 1 99 00 xx xx is kept free for fiction; apart from the demo's numbers and those that tests name."""
    return f"+3319900{secrets.randbelow(5000) + 1000}"
