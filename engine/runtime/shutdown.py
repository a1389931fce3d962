"""How a signal ends a process: it drains, then stops. A second signal ends it at once.

While it drains, it takes no new calls and finishes those that it was asked about. All its other parts still work,
because these calls and requests to `/ready` need them.
"""

import asyncio
import signal

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Shutdown:
    """The two steps to the end.

    Attributes:
        drain: Set when no new calls may be taken.
        stop: Set when everything has to end.
    """

    def __init__(self) -> None:
        self.drain = asyncio.Event()
        self.stop = asyncio.Event()

    def on_signals(self) -> None:
        """Drains at the first SIGTERM or SIGINT."""
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._begin)

    def _begin(self) -> None:
        for number in SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)
            # The kernel ends the process at the next signal, even if the event loop hangs. Everything that was
            # acknowledged is on the disk by then.
            signal.signal(number, signal.SIG_DFL)
        self.drain.set()
