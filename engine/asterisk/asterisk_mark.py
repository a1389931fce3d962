"""The mark of a running Asterisk: a global variable there, which its keeper sets once.

Two engines that find the same mark have the same Asterisk. A restarted Asterisk has none, and gets another one.
"""

from engine.asterisk.ami_link import AmiLink
from engine.runtime.ids import new_id

VARIABLE = "RENTED_NUMBERS_MARK"


class AsteriskMark:
    """Reads and sets the mark of the Asterisk to which the link leads."""

    def __init__(self, link: AmiLink) -> None:
        self._link = link
        self._found = ""
        self._connection = 0

    @property
    def value(self) -> str | None:
        """The mark that was read over the present connection, empty if there was none; None if it is not known."""
        return self._found if self._link.is_up and self._connection == self._link.connections else None

    async def read(self) -> None:
        """Reads the mark. Raises AmiUnavailable and AmiRefused."""
        connection = self._link.connections
        answer = await self._link.action("Getvar", Variable=VARIABLE)
        self._found, self._connection = str(answer.value or ""), connection

    async def make(self) -> None:
        """Reads the mark, and sets one if there is none. Raises AmiUnavailable and AmiRefused."""
        await self.read()
        if not self._found:
            await self._link.action("Setvar", Variable=VARIABLE, Value=new_id("ast"))
            await self.read()
