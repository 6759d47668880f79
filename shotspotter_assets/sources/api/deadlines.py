"""The time within which an answer has to arrive, from the request to its last byte, however slowly it comes."""

import socket
from contextlib import suppress
from threading import Timer
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util import Retry


class Deadline:
    """Ends the connection of the request under way once its time is over; one request at a time.

    The time-outs of sockets begin anew with each byte, so that a server that drips would be waited for without end.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timer: Timer | None = None
        self._socket: socket.socket | None = None
        self.is_over = False
        """Whether the time of the last request was over before its answer was read."""

    def begin(self) -> None:
        """A request is sent."""
        self.stop()
        self.is_over, self._socket = False, None
        self._timer = Timer(self._seconds, self._end)
        self._timer.daemon = True
        self._timer.start()

    def watch(self, connected: socket.socket | None) -> None:
        """The request goes through this socket."""
        self._socket = connected

    def stop(self) -> None:
        """The answer was read, or given up."""
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        self.is_over = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


class PunctualAdapter(HTTPAdapter):
    """Sends requests whose answers have a deadline, each attempt its own."""

    def __init__(self, deadline: Deadline, retries: Retry) -> None:
        self._deadline = deadline
        super().__init__(max_retries=retries)

    def init_poolmanager(self, *arguments: Any, **settings: Any) -> None:
        super().init_poolmanager(*arguments, **settings)
        self._watch(self.poolmanager)

    def proxy_manager_for(self, *arguments: Any, **settings: Any) -> Any:
        return self._watch(super().proxy_manager_for(*arguments, **settings))

    def _watch(self, manager: Any) -> Any:
        deadline = self._deadline

        class Connection(HTTPConnection):
            def request(self, *arguments: Any, **settings: Any) -> None:
                deadline.begin()
                super().request(*arguments, **settings)
                deadline.watch(self.sock)

        class SecureConnection(HTTPSConnection):
            def request(self, *arguments: Any, **settings: Any) -> None:
                deadline.begin()
                super().request(*arguments, **settings)
                deadline.watch(self.sock)

        class Pool(HTTPConnectionPool):
            ConnectionCls = Connection

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = SecureConnection

        manager.pool_classes_by_scheme = {"http": Pool, "https": SecurePool}
        return manager
