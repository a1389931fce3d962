"""The sound of a call: an RTP socket and an RTCP socket, which keep all packets that they receive."""

import asyncio
import contextlib
import secrets
import struct
from collections.abc import Callable, Iterable

from phones.errors import PhoneError
from phones.peer.wire import Address, Packet, UdpWire

PACKET_SECONDS = 0.02
PACKET_SAMPLES = 160
RTP_HEADER = 12
ATTEMPTS = 100
# RFC 4733: the event number of a key is its index here.
KEYS = "0123456789*#ABCD"
KEYS_TYPE = 101
KEY_PAUSE_SECONDS = 0.06
# RTCP: version 2, one source; sender report 200, source description 202; items of the latter.
SENDER_REPORT, DESCRIPTION, CNAME, PHONE, END = 200, 202, 1, 4, 0


class Media:
    """An RTP and an RTCP socket.

    Attributes:
        received: The RTP packets, with sender and time.
        reports: The RTCP packets, with sender and time.
        seal: Encrypts each RTP packet before it is sent; by default it leaves it as it is.
        seal_report: The same for RTCP packets.
    """

    def __init__(self, local: Address) -> None:
        """Opens both sockets. Raises OSError if a port is taken."""
        self.received: list[Packet] = []
        self.reports: list[Packet] = []
        self.seal: Callable[[bytes], bytes] = lambda packet: packet
        self.seal_report = self.seal
        self._source = secrets.randbits(31)
        self._sequence = 0
        self._sound = UdpWire(local, lambda _, packet: self.received.append(packet))
        self.local = self._sound.local
        host, port = self.local
        try:
            self._control = UdpWire((host, port + 1), lambda _, packet: self.reports.append(packet))
        except OSError:
            self._sound.close()
            raise

    @classmethod
    def open(cls, host: str) -> "Media":
        """Opens an even port and the odd one after it (RFC 3550, 11). Raises PhoneError if there are none."""
        for _ in range(ATTEMPTS):
            with contextlib.suppress(OSError):
                media = cls((host, 0))
                if media.local[1] % 2 == 0:
                    return media
                media.close()
        raise PhoneError(f"no two adjacent free ports on {host}")

    def close(self) -> None:
        self._sound.close()
        self._control.close()

    def send(self, payload: bytes, to: Address) -> None:
        """Sends one RTP packet."""
        self._sequence += 1
        head = struct.pack("!BBHII", 0x80, 0, self._sequence, self._sequence * PACKET_SAMPLES, self._source)
        self._sound.send(self.seal(head + payload), to)

    async def stream(self, payload: bytes, to: Address, packets: int) -> None:
        for _ in range(packets):
            self.send(payload, to)
            await asyncio.sleep(PACKET_SECONDS)

    async def press(self, keys: str, to: Address) -> None:
        """Sends telephone keys (RFC 4733) with payload type 101."""
        for key in keys:
            self._sequence += 1
            moment = self._sequence * PACKET_SAMPLES
            for duration, end in ((PACKET_SAMPLES, 0), (5 * PACKET_SAMPLES, 0x80), (5 * PACKET_SAMPLES, 0x80)):
                self._sequence += 1
                head = struct.pack("!BBHII", 0x80, KEYS_TYPE, self._sequence, moment, self._source)
                self._sound.send(self.seal(head + struct.pack("!BBH", KEYS.index(key), end | 10, duration)), to)
                await asyncio.sleep(PACKET_SECONDS)
            await asyncio.sleep(KEY_PAUSE_SECONDS)

    def report(self, text: bytes, to: Address) -> None:
        """Sends an RTCP report whose source description holds `text` as CNAME and as telephone number."""
        report = struct.pack("!BBHIQIII", 0x80, SENDER_REPORT, 6, self._source, 0, 0, 0, 0)
        items = bytes([CNAME, len(text)]) + text + bytes([PHONE, len(text)]) + text + bytes([END])
        chunk = struct.pack("!I", self._source) + items
        chunk += b"\0" * (-len(chunk) % 4)
        whole = report + struct.pack("!BBH", 0x81, DESCRIPTION, len(chunk) // 4) + chunk
        self._control.send(self.seal_report(whole), to)


def payload_of(packet: Packet) -> bytes:
    """Returns the payload of an RTP packet."""
    return packet.data[RTP_HEADER:]


def keys_of(packets: Iterable[Packet]) -> str:
    """Returns the telephone keys in RTP packets, one for each packet that carries it."""
    events = [packet.data for packet in packets if len(packet.data) > RTP_HEADER and packet.data[1] & 0x7F == KEYS_TYPE]
    return "".join(KEYS[data[RTP_HEADER]] for data in events if data[RTP_HEADER] < len(KEYS))
