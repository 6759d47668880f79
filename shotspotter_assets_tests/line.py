"""A line to a server that can be cut and mended: what a network does to a store, without harm to the server."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

from shotspotter_assets_tests.ports import lasting_ports


class Line:
    """Forwards a free loopback port to a server's."""

    def __init__(self, endpoint: str) -> None:
        url = urlsplit(endpoint)
        assert url.port is not None
        self._server = ("127.0.0.1", url.port)
        self._open: list[socket.socket] = []
        self._listener: socket.socket | None = None
        # One that no connection takes for its own end while the line is cut.
        [self._port] = lasting_ports(1)
        self.mend()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def mend(self) -> None:
        """Take connections, for the first time or again on the same port."""
        self._listener = socket.create_server(("127.0.0.1", self._port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Break all connections, and refuse others."""
        listener, self._listener = self._listener, None
        for opened in [*([listener] if listener else []), *self._open]:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()
        self._open.clear()

    def cut_for(self, seconds: float) -> threading.Timer:
        """Cut it, and mend it after a while."""
        self.cut()
        timer = threading.Timer(seconds, self.mend)
        timer.start()
        return timer

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(self._server)
                self._open += [client, server]
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._forward, args=(source, target), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def line_to(endpoint: str) -> Iterator[Line]:
    """A line until the block ends."""
    line = Line(endpoint)
    try:
        yield line
    finally:
        line.cut()
