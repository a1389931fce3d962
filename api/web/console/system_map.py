"""A map of the system: what `doctor` finds about each part. A part that fails is red."""

from collections.abc import Mapping, Sequence
from typing import Any

from api.web.frame.commands import CommandFailed, CommandResult
from api.web.frame.site import Page, Visit
from engine.domain.times import rfc3339
from engine.domain.web_access import Role

DOCTOR = ("doctor", "--json")
# `doctor` checks everything, so it does not run more often, however many people have the map open.
FRESH_MS = 30_000
WAIT_SECONDS = 4.0
# `doctor`'s verdicts, each worse than the one before it.
WORSE = ("ok", "warning", "failed")
# Where a part of `doctor` is on the map, by how its name begins, from the carriers on the left to the customers on the
# right.
PLACES: Mapping[str, tuple[str, ...]] = {
    "Calls": ("trunk", "asterisk", "ami", "prompts", "journal"),
    "Engine": ("engine", "ports", "exposure", "test switch"),
    "Data": ("database", "ledger", "numbers", "data directory", "files", "secrets"),
    "Customers": ("callbacks", "warnings"),
}
ELSEWHERE = "Engine"


def system_map_page() -> Page:
    """Returns the page."""
    return Page("/system", "System", Role.VIEWER, "console/system_map.html", load, command="doctor", refresh_seconds=10)


async def load(visit: Visit) -> Mapping[str, Any]:
    """Returns the findings of each part, and when they were made. Shows the last result while a new one is made."""
    commands = visit.services.commands
    known = commands.latest(*DOCTOR)
    if not isinstance(known, CommandResult) or visit.now - known.ended_at >= FRESH_MS:
        commands.start(*DOCTOR)
    if known is None:
        await commands.wait(*DOCTOR, seconds=WAIT_SECONDS)
        known = commands.latest(*DOCTOR)
    result = known if isinstance(known, CommandResult) else None
    return {
        "at": rfc3339(result.ended_at) if result else None,
        "failure": str(known) if isinstance(known, CommandFailed) else None,
        "places": map_of(parts_of(result.output)) if result else [],
    }


def parts_of(findings: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Returns the parts in the order of `doctor`, each with its worst verdict and its findings."""
    parts: dict[str, list[Mapping[str, str]]] = {}
    for each in findings:
        parts.setdefault(each["part"], []).append(each)
    return [
        {"part": part, "verdict": max((each["verdict"] for each in found), key=WORSE.index), "findings": found}
        for part, found in parts.items()
    ]


def map_of(parts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Puts each part in its place on the map. A part without a place is the engine's."""
    return [{"place": place, "parts": [each for each in parts if place_of(each["part"]) == place]} for place in PLACES]


def place_of(part: str) -> str:
    """Returns the place of a part, such as `trunk main`."""
    return next((place for place, begins in PLACES.items() if part.startswith(begins)), ELSEWHERE)
