"""An AGI connection of the model."""

import asyncio

from agi_scripts.errors import CallerGone
from agi_scripts.errors import HungUp as NotExecuted
from agi_scripts.session import Environment
from tests.contract.model_clocks import Gate
from tests.contract.model_dialplan import Channel


class Conversation:
    """One AGI connection. The engine's side uses it as a Session."""

    def __init__(self, gate: Gate, environment: Environment, began: int) -> None:
        self.environment = environment
        self.began = began
        self.closed = False
        self._left = False
        self._gate = gate
        self._command: tuple[list[tuple[str, str]], asyncio.Future[None]] | None = None
        self._something = asyncio.Event()

    async def set_variables(self, variables: list[tuple[str, str]]) -> None:
        if self.closed:
            raise NotExecuted("closed before the command")
        executed = asyncio.get_running_loop().create_future()
        self._command = variables, executed
        self._something.set()
        await executed
        await self._gate.passed()

    def close(self) -> None:
        self.closed = True
        self.notice()

    def leave(self) -> None:
        """Asterisk's time to wait is over."""
        self._left = True
        self.notice()

    def notice(self) -> None:
        """Wakes Asterisk's side."""
        self._something.set()

    async def serve(self, channel: Channel) -> None:
        """Asterisk's side: executes what comes until either side closes."""
        while True:
            await self._something.wait()
            self._something.clear()
            await self._gate.passed()
            if self._command is not None and not channel.hung_up and not self._left:
                await self._execute(channel, *self._command)
            if self.closed or channel.hung_up or self._left:
                self._give_up()
                return

    async def _execute(
        self, channel: Channel, variables: list[tuple[str, str]], executed: asyncio.Future[None]
    ) -> None:
        self._command = None
        for name, value in variables:
            channel.variables[name] = value
            await self._gate.passed()
        if not executed.done():
            if channel.hung_up or self._left:
                executed.set_exception(CallerGone("closed before the answer"))
            else:
                executed.set_result(None)

    def _give_up(self) -> None:
        self.closed = True
        if self._command is not None and not self._command[1].done():
            self._command[1].set_exception(NotExecuted("hung up before the command"))
