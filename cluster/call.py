"""`make cluster-call`: two calls through Kamailio on a running cluster, step by step, each with the node that took it.

For the second one, the node that took the first is drained, as for an upgrade.
"""

import sys
from contextlib import closing
from pathlib import Path

import psycopg
from rich.markup import escape

from cluster.__main__ import DIRECTORY
from cluster.errors import ClusterFailed
from cluster.kamailio import commanded
from cluster.node import asterisk_name, settings_of
from cluster.running import is_ready
from engine.cli.errors import EXPECTED, messages_of
from engine.config.settings import Settings
from phones.demo_call import plain
from phones.demo_steps import DemoFailed, alone, console, step
from phones.errors import PhoneError


class _Nodes:
    """The nodes of the running cluster.

    Attributes:
        ready: Those that decide on calls, by their names. The customer uses the API of the first of them.
    """

    def __init__(self, directory: Path) -> None:
        self._kamailio = directory / "kamailio"
        self._all: dict[str, Settings] = {}
        for config in sorted(directory.glob("node*.toml")):
            with settings_of(config):
                self._all[config.stem] = Settings()
        self.ready = {name: settings for name, settings in self._all.items() if is_ready(settings)}
        if not self.ready:
            raise DemoFailed("There is no cluster. Start `make cluster` in another terminal first.")
        self.first = next(iter(self.ready.values()))

    def show_taker(self) -> None:
        """Shows which node has the call that was made last."""
        name = self.taker()
        step(f"{name} has the call: Kamailio sent it to {self._sip(name)}.")

    def taker(self) -> str:
        """Returns the name of the node that got the newest call, as the database knows it."""
        with closing(psycopg.connect(self.first.database_url or "", connect_timeout=5)) as database:
            row = database.execute("SELECT asterisk FROM calls ORDER BY started_at DESC LIMIT 1").fetchone()
        names = {asterisk_name(settings): name for name, settings in self._all.items()}
        if row is None or row[0] not in names:
            raise DemoFailed("No node has the call.")
        return names[row[0]]

    def set_state(self, name: str, state: str) -> None:
        """Drains a node, or lets it take calls again, as an operator does."""
        words = ("dispatcher.set_state", state, "1", f"sip:{self._sip(name)}")
        commanded(self._kamailio, *words)
        step(f"kamcmd {' '.join(words)}")

    def _sip(self, name: str) -> str:
        return f"{self._all[name].sip_host}:{self._all[name].sip_port}"


def main(directory: Path = DIRECTORY, *, both: bool = True) -> int:
    """Makes the calls, or only the first. Returns exit status 0 if all went as it should, else 1."""
    try:
        nodes = _Nodes(directory.absolute())
        with alone(nodes.first):
            plain(nodes.first, nodes.show_taker)
            if both and len(nodes.ready) > 1:
                _call_the_other(nodes)
    except (DemoFailed, ClusterFailed, PhoneError) as error:
        problems = [str(error)]
    except psycopg.Error as error:
        problems = [f"The database does not answer: {error}"]
    except EXPECTED as error:
        problems = messages_of(error)
    else:
        return 0
    for problem in problems:
        console.print(f"[red]✗[/] {escape(problem)}", soft_wrap=True)
    return 1


def _call_the_other(nodes: _Nodes) -> None:
    former = nodes.taker()
    step(f"{former} is drained: it gets no new calls.")
    nodes.set_state(former, "dx")
    try:
        plain(nodes.first, nodes.show_taker)
    finally:
        nodes.set_state(former, "ap")
    if nodes.taker() == former:
        raise DemoFailed(f"{former} took the call although it was drained.")


if __name__ == "__main__":
    sys.exit(main())
