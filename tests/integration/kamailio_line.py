"""A carrier and two nodes around the real Kamailio, each a scripted SIP address of its own of 127/8."""

import ssl
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from pathlib import Path
from typing import Any

from cluster.kamailio import Kamailio
from engine.config.settings import Settings
from phones.messages import Message
from phones.peer.dialog import Dialog
from phones.peer.peer import Peer
from phones.peer.stage import Stage
from phones.peer.wire import Packet, SipTransport
from phones.peer.writing import Reply
from phones.ports import free_port
from tests.e2e.certificates import Authority
from tests.kamailio import kamailio_of

KAMAILIO, CARRIER, OTHER_CARRIER, STRANGER = "127.0.0.5", "127.0.0.10", "127.0.0.11", "127.0.0.66"
NODES = ("127.0.0.21", "127.0.0.22")
CALLER = "+14155550123"


class Does(Enum):
    """What a node does with calls."""

    ANSWER = auto()
    REFUSE = auto()  # 503, and its OPTIONS are answered
    BE_BUSY = auto()
    RING = auto()  # until the caller gives up
    SAY_NOTHING = auto()  # not to OPTIONS either


class Node:
    """A node behind Kamailio.

    Attributes:
        does: What it does.
        calls: The calls that it got.
    """

    def __init__(self, stage: Stage, host: str, port: int) -> None:
        self.does = Does.ANSWER
        self.calls: list[Dialog] = []
        self._stage = stage
        self.peer = stage.run(Peer.open(host, port, self._play))
        self.peer.outside = self._outside
        self.name = f"{host}:{port}"

    def _outside(self, packet: Packet) -> Reply | None:
        return None if self.does is Does.SAY_NOTHING else Reply(200)

    async def _play(self, dialog: Dialog) -> None:
        match self.does:
            case Does.ANSWER:
                self.calls.append(dialog)
                dialog.answer(Reply(200))
            case Does.RING:
                self.calls.append(dialog)
                dialog.answer(Reply(180))
                await dialog.requested("CANCEL")
                dialog.answer(Reply(487))
            case Does.REFUSE:
                dialog.answer(Reply(503))
            case Does.BE_BUSY:
                dialog.answer(Reply(486))
            case Does.SAY_NOTHING:
                pass

    @property
    def requests(self) -> list[Message]:
        """The calls' requests that it got."""
        return [each.message for each in self.peer.packets if each.message.method != "OPTIONS"]


class Call:
    """A call of a carrier.

    Attributes:
        status: The final answer; None if there is none.
        waited: Seconds until it came.
    """

    def __init__(self, dialog: Dialog, stage: Stage, status: int | None, waited: float) -> None:
        self.dialog, self.status, self.waited = dialog, status, waited
        self._stage = stage

    def hang_up(self) -> None:
        self._stage.run(_ask(self.dialog, "BYE"))

    @property
    def seen(self) -> list[str]:
        """The heads of all messages that the carrier got. Bodies name where the sound comes from."""
        return [message.text.partition("\n\n")[0] for message in self.dialog.messages]


async def _ask(dialog: Dialog, method: str) -> None:
    """Sends a request within a call, which must be answered with 200."""
    assert (await dialog.answered(dialog.request(method), 5)).status == 200


class Line:
    """Kamailio with its carriers and its nodes.

    Attributes:
        authority: The CA of whom Kamailio accepts certificates.
        stranger: An address that belongs to nobody.
    """

    def __init__(
        self,
        stage: Stage,
        kamailio: Kamailio,
        nodes: list[Node],
        peers: dict[str, Peer],
        secure: dict[str, Peer],
        authority: Authority,
    ) -> None:
        self.kamailio = kamailio
        self.authority = authority
        self.nodes = nodes
        self.stage = stage
        self.stranger = peers[STRANGER]
        self._peers = peers
        self._secure = secure

    def reset(self) -> None:
        """Lets all nodes answer again, and waits until Kamailio has noticed."""
        for node in self.nodes:
            node.does = Does.ANSWER
        for node in self.nodes:
            self.kamailio.wait_for(node.name, "AP")
            node.calls.clear()
            node.peer.packets.clear()

    def call(
        self,
        number: str,
        *,
        source: str = CARRIER,
        headers: Iterable[str] = (),
        transport: SipTransport = "udp",
        patience: float = 10,
    ) -> Call:
        """Calls, and waits for the final answer."""
        return self.stage.run(self._call(number, source, headers, transport, patience))

    async def _call(
        self, number: str, source: str, headers: Iterable[str], transport: SipTransport, patience: float
    ) -> Call:
        dialog, began = await self.dial(number, source, transport), time.monotonic()
        try:
            status = (await dialog.answered(dialog.request("INVITE", headers), patience)).status
        except TimeoutError:
            status = None
        return Call(dialog, self.stage, status, time.monotonic() - began)

    async def dial(self, number: str, source: str = CARRIER, transport: SipTransport = "udp") -> Dialog:
        """Prepares a call."""
        if transport == "tls":
            target = self.kamailio.tls_address
            return await self._secure[source].dialog(number, target, source=CALLER, transport=transport)
        return await self._peers[source].dialog(number, self.kamailio.address, source=CALLER, transport=transport)

    def reconnect(self, dialog: Dialog) -> None:
        """Opens the connection of a carrier's call again."""
        peers = self._secure if dialog.wire.name == "TLS" else self._peers
        self.stage.run(peers[CARRIER].reconnect(dialog))

    def ask(self, dialog: Dialog, method: str) -> None:
        """Sends a request within a call, from either side, which must be answered with 200."""
        self.stage.run(_ask(dialog, method))

    def node_of(self, number: str) -> Node:
        """Calls, and hangs up. Returns the node that got the call."""
        before = [len(node.calls) for node in self.nodes]
        call = self.call(number)
        assert call.status == 200
        call.hang_up()
        [node] = [node for node, calls in zip(self.nodes, before, strict=True) if len(node.calls) > calls]
        return node

    def other_than(self, node: Node) -> Node:
        return next(each for each in self.nodes if each is not node)


@contextmanager
def line_of(hosts: Sequence[str] = NODES, **settings: object) -> Iterator[Line]:
    """Runs Kamailio between a carrier and the nodes with these addresses."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory, Stage() as stage:
        authority = Authority(Path(directory), "authority")
        made = Settings.model_validate(
            {
                "kamailio_host": KAMAILIO,
                "kamailio_port": free_port(),
                "nodes": [f"{host}:{port}" for host in hosts],
                **tls_settings(authority, KAMAILIO),
                **settings,
            }
        )
        nodes = [Node(stage, host, port) for host in hosts]
        listens = {CARRIER: True, OTHER_CARRIER: False, STRANGER: True}
        peers = {host: stage.run(Peer.open(host, tcp=each)) for host, each in listens.items()}
        secure = {host: stage.run(secure_peer(host, authority, listens=each)) for host, each in listens.items()}
        try:
            with kamailio_of(made) as kamailio:
                every = peers | {node.peer.local[0]: node.peer for node in nodes}
                yield Line(stage, kamailio, nodes, every, secure, authority)
        finally:
            for peer in (*peers.values(), *secure.values(), *(node.peer for node in nodes)):
                stage.run(peer.close())


def tls_settings(authority: Authority, host: str) -> dict[str, Any]:
    """The settings of a Kamailio at this address that speaks TLS with those who show this authority's certificate."""
    certificate = authority.issue(host)
    return {
        "kamailio_tls_port": free_port(),
        "sip_tls_certificate": certificate,
        "sip_tls_key": certificate,
        "sip_tls_ca": authority.file,
        "sip_tls_client_certificate": True,
    }


async def secure_peer(
    host: str,
    authority: Authority,
    *,
    listens: bool = True,
    shows: Path | None = None,
    trusts: Authority | None = None,
) -> Peer:
    """Opens an address that calls over TLS with a certificate of this authority, and trusts it or another one.

    If it listens, it takes connections with this certificate, or with the one that it `shows` instead.
    """
    certificate = authority.issue(host)
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(shows or certificate)
    peer = await Peer.open(host, tls=shown if listens else None)
    peer.trusts = ssl.create_default_context(cafile=(trusts or authority).file)
    peer.trusts.load_cert_chain(certificate)
    return peer
