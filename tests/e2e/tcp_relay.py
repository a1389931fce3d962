"""A TCP relay between two programs that a test can pause or cut."""

import socket
import threading
from contextlib import suppress


class TcpRelay:
    """A TCP relay.

    While it is paused it keeps its connections and forwards nothing; later it forwards everything. While it is cut it
    has no connections: what either side sends is lost.
    """

    def __init__(self, target: int, host: str = "127.0.0.1") -> None:
        """Relays to this port of `host`."""
        self._target = (host, target)
        self._open = threading.Event()
        self._open.set()
        self._is_cut = False
        self._ends: set[socket.socket] = set()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def pause(self) -> None:
        self._open.clear()

    def cut(self) -> None:
        """Ends all connections, and refuses new ones until `resume`."""
        self._is_cut = True
        for end in list(self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def resume(self) -> None:
        self._is_cut = False
        self._open.set()

    def close(self) -> None:
        self._open.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
                if self._is_cut:
                    near.close()
                    continue
            except OSError:
                return
            try:
                far = socket.create_connection(self._target)
            except OSError:  # the other program is not there now
                near.close()
                continue
            self._ends |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with source, sink:
            try:
                while data := source.recv(65536):
                    self._open.wait()
                    sink.sendall(data)
            except OSError:
                pass
        self._ends -= {source, sink}
