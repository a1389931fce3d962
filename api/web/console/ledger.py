"""The ledger check: does every booking's credit add up?"""

from collections.abc import Mapping
from typing import Any

from api.web.frame.commands import CommandFailed, CommandResult
from api.web.frame.site import Action, Outcome, Page, Visit
from engine.domain.times import rfc3339
from engine.domain.web_access import Role

VERIFY = ("ledger", "verify", "--json")
PATH = "/ledger"


def ledger_page() -> Page:
    """Returns the page."""
    return Page(PATH, "Ledger", Role.VIEWER, "console/ledger.html", load, command="ledger verify", refresh_seconds=5)


def ledger_actions() -> tuple[Action, ...]:
    """Returns what the page can do."""
    return (Action(f"{PATH}/verify", "Verify the ledger", "LedgerVerified", Role.VIEWER, verify, page=PATH),)


async def load(visit: Visit) -> Mapping[str, Any]:
    """Returns the last result. The first visit begins the first check."""
    commands = visit.services.commands
    found = commands.latest(*VERIFY)
    if found is None:
        commands.start(*VERIFY)
    shown: dict[str, Any] = {
        "isRunning": commands.is_running(*VERIFY),
        "failure": str(found) if isinstance(found, CommandFailed) else None,
        "at": None,
        "tookSeconds": None,
        "summary": None,
        "discrepancies": [],
    }
    if isinstance(found, CommandResult):
        shown |= {
            "at": rfc3339(found.ended_at),
            "tookSeconds": round(found.took_seconds, 1),
            "summary": found.messages[-1] if found.messages else None,
            "discrepancies": found.output,
        }
    return shown


async def verify(visit: Visit, _: Mapping[str, str]) -> Outcome:
    """Starts a check, unless one is running."""
    visit.services.commands.start(*VERIFY)
    return Outcome("The check is running. Its result appears here.", {"isRunning": True})
