"""Asks before an action that cannot be undone: the form has a box to tick, which works without scripts, too."""

from collections.abc import Mapping

from engine.domain.errors import InvalidInput

SURE = "sure"


def check_sure(form: Mapping[str, str]) -> None:
    """Raises InvalidInput unless the box is ticked."""
    if form[SURE] != "yes":
        raise InvalidInput([f"--{SURE} must be yes, because this cannot be undone: tick the box"])
