"""The link to an Asterisk that does nothing but keep a mark."""

from types import SimpleNamespace
from typing import Any

from engine.asterisk.ami_link import AmiLink
from engine.asterisk.errors import AmiUnavailable


class Link(AmiLink):
    """Two engines of one Asterisk share its `variables`; a restart clears them.

    Attributes:
        is_down: Whether Asterisk cannot be reached.
    """

    def __init__(self, variables: dict[str, str] | None = None) -> None:
        self.variables = {} if variables is None else variables
        self.connections = 1
        self.is_down = False

    @property
    def is_up(self) -> bool:
        return not self.is_down

    async def action(self, name: str, **fields: str) -> Any:
        if self.is_down:
            raise AmiUnavailable("down")
        if name == "Setvar":
            self.variables[fields["Variable"]] = fields["Value"]
        return SimpleNamespace(value=self.variables.get(fields["Variable"], ""))
