"""Asks before what cannot be undone: a form needs a box to be ticked, also where no script runs."""

from collections.abc import Mapping

from engine.domain.errors import InvalidInput

SURE = "sure"


def check_sure(form: Mapping[str, str]) -> None:
    """Raises InvalidInput unless the box is ticked."""
    if form[SURE] != "yes":
        raise InvalidInput([f"--{SURE} must be yes: this cannot be undone"])
