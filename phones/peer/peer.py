"""A scripted SIP address: a carrier, a trunk, or an unknown source.

It is no SIP stack: it does what a script needs to keep a call going, and otherwise sends what the script gives it.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from phones.errors import PhoneError
from phones.messages import Message
from phones.peer.dialog import Dialog
from phones.peer.wire import Address, Packet, SipTransport, TcpWire, UdpWire, Wire
from phones.peer.writing import Reply, answer, token, uri_of
from phones.ports import free_port

# The script of an incoming call.
Play = Callable[[Dialog], Awaitable[None]]


class Peer:
    """A SIP address.

    Attributes:
        packets: Everything that it received.
        datagrams: What of that came over UDP.
        strays: Received packets that belong to no call.
        calls: Incoming calls by Call-ID.
        outside: Chooses the reply to a request that belongs to no call, such as REGISTER; None sends no reply.
        trusts: The certificates that calls of its own over TLS accept, and its own one if it shows any.
    """

    def __init__(self, local: Address, play: Play | None) -> None:
        self.trusts: ssl.SSLContext | None = None
        self.outside: Callable[[Packet], Reply | None] = lambda packet: None
        self.packets: list[Packet] = []
        self.datagrams: list[Packet] = []
        self.strays: list[Packet] = []
        self.calls: dict[str, Dialog] = {}
        self._play = play
        self._dialogs: dict[str, Dialog] = {}
        self._playing: set[asyncio.Future[None]] = set()
        self._udp = UdpWire(local, self._take)
        self.local = self._udp.local
        self._streams: dict[tuple[Address, SipTransport], TcpWire] = {}
        self._connecting = asyncio.Lock()
        self._server: asyncio.Server | None = None

    @classmethod
    async def open(
        cls,
        host: str,
        port: int = 0,
        play: Play | None = None,
        *,
        tcp: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> "Peer":
        """Opens the address.

        Args:
            host: The IP address.
            port: The port; 0 for a free one.
            play: The script of incoming calls; None ignores them.
            tcp: Accept TCP connections at the same port as well.
            tls: Accept TLS connections there instead, with this certificate.

        Raises:
            OSError: The port is taken.
        """
        # Not a port that the kernel chooses for UDP: a TCP connection of another program may use the same one.
        peer = cls((host, port or free_port()), play)
        if tcp or tls is not None:
            peer._server = await asyncio.start_server(peer._accept, *peer.local, ssl=tls)
        return peer

    async def close(self) -> None:
        """Closes all sockets. Raises the first exception that a script raised."""
        if self._server is not None:
            self._server.close()
        self._udp.close()
        for wire in self._streams.values():
            wire.close()
            await wire.wait_closed()
        for each in self._playing:
            each.cancel()
        done = await asyncio.gather(*self._playing, return_exceptions=True)
        failed = [each for each in done if isinstance(each, Exception)]
        if failed:
            raise failed[0]

    async def dialog(
        self, user: str, target: Address, *, source: str, transport: SipTransport = "udp", display: str = ""
    ) -> Dialog:
        """Prepares a dialog of our own, for a call or any other request. Sends nothing yet."""
        wire = await self._wire(target, transport)
        host, port = target
        uri = f"sip:{user}@{host}:{port}" if user else f"sip:{host}:{port}"
        local = f"{display}<sip:{source}@{wire.local[0]}>;tag={token()}"
        dialog = Dialog(wire, target, token(), local, f"<{uri}>", f"{uri};transport={transport}")
        self._dialogs[dialog.call_id] = dialog
        return dialog

    async def _wire(self, target: Address, transport: SipTransport) -> Wire:
        if transport == "udp":
            return self._udp
        if transport == "tls" and self.trusts is None:
            raise PhoneError("a peer that calls over TLS needs certificates to trust")
        async with self._connecting:
            known = self._streams.get((target, transport))
            if known is not None and not known.is_open:
                known.close()
                await known.wait_closed()
                known = None
            if known is None:
                trusts = self.trusts if transport == "tls" else None
                wire = await TcpWire.connect(self.local[0], target, self._take, trusts)
                if self._server is not None:
                    wire.local = self.local  # where it can be reached if this connection is lost
                self._streams[target, transport] = wire
            return self._streams[target, transport]

    async def reconnect(self, dialog: Dialog) -> None:
        """Opens the connection of a call again, after the other side has lost it. Raises OSError if that fails."""
        dialog.wire = await self._wire(dialog.remote, "tls" if dialog.wire.name == "TLS" else "tcp")

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = TcpWire(reader, writer, self._take)
        wire.local = self.local
        self._streams[wire.remote, "tls" if wire.name == "TLS" else "tcp"] = wire

    def _take(self, wire: Wire, packet: Packet) -> None:
        self.packets.append(packet)
        if wire is self._udp:
            self.datagrams.append(packet)
        message = packet.message
        dialog = self._dialogs.get(message.call_id)
        if dialog is None and message.status is None and message.method == "INVITE" and self._play is not None:
            dialog = self._incoming(wire, packet, message)
            dialog.take(packet)
            playing = asyncio.ensure_future(self._play(dialog))
            self._playing.add(playing)
        elif dialog is None:
            self.strays.append(packet)
            reply = self.outside(packet) if message.status is None else None
            if reply is not None:
                host, port = self.local
                wire.send(answer(message, reply, token(), f"<sip:peer@{host}:{port}>"), packet.source)
        else:
            if wire is not dialog.wire:  # the other side has connected again, or has changed to UDP
                dialog.wire = wire
                if wire is self._udp:  # the port of a connection takes no datagrams
                    dialog.remote = packet.source
            dialog.take(packet)

    def _incoming(self, wire: Wire, packet: Packet, invite: Message) -> Dialog:
        target = uri_of(invite.header("Contact"))
        dialog = Dialog(wire, packet.source, invite.call_id, "", invite.header("From"), target)
        dialog.local = f"{invite.header('To')};tag={dialog.tag}"
        dialog.routes = invite.headers("Record-Route")
        dialog.invite = invite
        self._dialogs[dialog.call_id] = self.calls[dialog.call_id] = dialog
        return dialog
