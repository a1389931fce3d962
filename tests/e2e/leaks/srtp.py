"""One direction of encrypted sound: SRTP (RFC 3711) with AES_CM_128_HMAC_SHA1_80, the key from SDP (RFC 4568).

Its reports (RTCP) are encrypted with the same key.
"""

import base64
import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from phones.peer import Packet

TAG_BYTES = 10
RTP_HEADER, RTCP_HEADER = 12, 8
# Before the number of a report: it is encrypted.
ENCRYPTED = 1 << 31


class Srtp:
    """Encrypts or decrypts the packets of one stream of fewer than 65,536 packets, so that there is no rollover."""

    def __init__(self, key: str) -> None:
        """Takes the key from the `a=crypto` line after `inline:`, in Base64."""
        secret = base64.b64decode(key)
        master, salt = secret[:16], int.from_bytes(secret[16:])
        # RFC 3711, 4.3: labels 0, 1 and 2 give the keys for encryption, authentication, and the salt; 3, 4 and 5 give
        # those of reports.
        lengths = enumerate((16, 20, 14) * 2)
        keys = [_keystream(master, (salt ^ label << 48) << 16, length) for label, length in lengths]
        self._cipher, self._mac, self._salt = keys[0], keys[1], int.from_bytes(keys[2])
        self._report_cipher, self._report_mac, self._report_salt = keys[3], keys[4], int.from_bytes(keys[5])
        self._reports = 0

    def seal(self, packet: bytes) -> bytes:
        """Encrypts an RTP packet."""
        sealed = packet[:RTP_HEADER] + self._crypt(packet)
        return sealed + self._tag(sealed)

    def opened(self, packet: Packet) -> bytes:
        """Returns the decrypted payload of an RTP packet; nothing if the packet does not have this key."""
        sealed, tag = packet.data[:-TAG_BYTES], packet.data[-TAG_BYTES:]
        return self._crypt(sealed) if hmac.compare_digest(tag, self._tag(sealed)) else b""

    def seal_report(self, packet: bytes) -> bytes:
        """Encrypts an RTCP packet (RFC 3711, 3.4)."""
        self._reports += 1
        number = struct.pack("!I", ENCRYPTED | self._reports)
        sealed = packet[:RTCP_HEADER] + self._crypt_report(packet, self._reports) + number
        return sealed + hmac.digest(self._report_mac, sealed, hashlib.sha1)[:TAG_BYTES]

    def opened_report(self, packet: Packet) -> bytes:
        """Returns the decrypted body of an RTCP packet; nothing if the packet does not have this key."""
        sealed, tag = packet.data[:-TAG_BYTES], packet.data[-TAG_BYTES:]
        if not hmac.compare_digest(tag, hmac.digest(self._report_mac, sealed, hashlib.sha1)[:TAG_BYTES]):
            return b""
        [number] = struct.unpack("!I", sealed[-4:])
        return self._crypt_report(sealed[:-4], number & ~ENCRYPTED)

    def _crypt_report(self, packet: bytes, number: int) -> bytes:
        [source] = struct.unpack("!4xI", packet[:RTCP_HEADER])
        payload = packet[RTCP_HEADER:]
        counter = self._report_salt << 16 ^ source << 64 ^ number << 16
        stream = _keystream(self._report_cipher, counter, len(payload))
        return bytes(a ^ b for a, b in zip(payload, stream, strict=True))

    def _crypt(self, packet: bytes) -> bytes:
        sequence, source = struct.unpack("!2xH4xI", packet[:RTP_HEADER])
        payload = packet[RTP_HEADER:]
        stream = _keystream(self._cipher, self._salt << 16 ^ source << 64 ^ sequence << 16, len(payload))
        return bytes(a ^ b for a, b in zip(payload, stream, strict=True))

    def _tag(self, sealed: bytes) -> bytes:
        return hmac.digest(self._mac, sealed + bytes(4), hashlib.sha1)[:TAG_BYTES]


def _keystream(key: bytes, counter: int, length: int) -> bytes:
    return Cipher(algorithms.AES(key), modes.CTR(counter.to_bytes(16))).encryptor().update(bytes(length))


def key_in(block: list[str]) -> str | None:
    """Returns the first key in the lines of a medium; None without one."""
    return next((line.partition("inline:")[2].split("|")[0] for line in block if line.startswith("a=crypto:")), None)
