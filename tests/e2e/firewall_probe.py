"""Finds out which addresses get an answer behind deploy/firewall.nft.

It runs in a network namespace of its own, where it may load the rules:

    unshare --net python -m tests.e2e.firewall_probe NFT RULES

It prints JSON: for each source address and port ("udp 5060"), whether an answer came back, and how many connections
each source could have open at once ("connections"). Loopback stands for the network: the rule that accepts loopback
is removed, and the carrier has an address of 127/8.
"""

import fcntl
import json
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Thread

SERVER = "127.0.0.1"
CARRIER = "127.0.0.3"
CARRIER_TOO = "127.0.0.4"
UNKNOWN = "127.0.0.9"
LOOPBACK_RULE = '        iifname "lo" accept\n'
CARRIERS = "define carrier4 = { 192.0.2.10, 198.51.100.0/28 }"
# Ports of the example: SIP, SIP over TLS, the first and the last RTP port; and two that Asterisk does not use.
PORTS = [("udp", 5060), ("tcp", 5060), ("tcp", 5061), ("udp", 10000), ("udp", 10999), ("udp", 11000), ("tcp", 8443)]
PATIENCE_SECONDS = 0.5
# More than the rules allow at once.
MANY_CONNECTIONS = 120
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1


def bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))


def load(nft: Path, rules: Path) -> None:
    text = rules.read_text()
    assert LOOPBACK_RULE in text
    assert CARRIERS in text
    text = text.replace(LOOPBACK_RULE, "").replace(CARRIERS, f"define carrier4 = {{ {CARRIER}, {CARRIER_TOO} }}")
    # Answers pass the same chain; the clients' own ports are not named in it.
    subprocess.run([nft, "-f", "-"], input=text.encode(), check=True, timeout=20)


@contextmanager
def answering(transport: str, port: int) -> Iterator[None]:
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as server:
        server.bind((SERVER, port))
        if transport == "tcp":
            server.listen(MANY_CONNECTIONS)
        Thread(target=_echo, args=(server, transport), daemon=True).start()
        yield


def _echo(server: socket.socket, transport: str) -> None:
    with suppress(OSError):
        while True:
            if transport == "udp":
                data, peer = server.recvfrom(64)
                server.sendto(data, peer)
            else:
                connection, _ = server.accept()
                Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    with connection, suppress(OSError):
        while data := connection.recv(64):
            connection.sendall(data)


def is_answered(source: str, transport: str, port: int) -> bool:
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as client:
        client.settimeout(PATIENCE_SECONDS)
        client.bind((source, 0))
        try:
            client.connect((SERVER, port))
            client.send(b"probe")
            return bool(client.recv(64))
        except TimeoutError:
            return False


def open_at_once(source: str) -> int:
    """Returns how many connections to the SIP port a source can have open."""
    with ExitStack() as stack:
        for count in range(MANY_CONNECTIONS):
            client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            client.settimeout(PATIENCE_SECONDS)
            client.bind((source, 0))
            try:
                client.connect((SERVER, 5060))
            except TimeoutError:
                return count
    return MANY_CONNECTIONS


def main(nft: Path, rules: Path) -> None:
    bring_loopback_up()
    load(nft, rules)
    with ExitStack() as servers:
        for transport, port in PORTS:
            servers.enter_context(answering(transport, port))
        answered = {
            source: {f"{transport} {port}": is_answered(source, transport, port) for transport, port in PORTS}
            for source in (CARRIER, UNKNOWN)
        }
        counted = {source: open_at_once(source) for source in (CARRIER, CARRIER_TOO)}
    print(json.dumps({"answered": answered, "connections": counted}))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
