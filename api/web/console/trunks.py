"""The trunks to the carriers."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from api.web.frame.site import Page, Visit
from engine.control.requests import ShowTrunks
from engine.domain.times import EpochMs, rfc3339
from engine.domain.web_access import Role


def trunks_page() -> Page:
    """Returns the page."""
    return Page(
        "/trunks", "Trunks", Role.VIEWER, "console/trunks.html", load, command="trunks list", refresh_seconds=15
    )


async def load(visit: Visit) -> Mapping[str, Any]:
    """Returns each trunk as the running engine knows it, in the order of their use."""
    shown = await visit.services.operator.show_trunks(ShowTrunks())
    return {
        "trunks": [
            asdict(each) | {"since": _instant(each.since), "failed_at": _instant(each.failed_at)}
            for each in shown.trunks
        ]
    }


def _instant(at: int | None) -> str | None:
    return None if at is None else rfc3339(EpochMs(at))
