"""Ports for servers that are stopped and started again, below those that connections are given, which would take them meanwhile."""

import contextlib
import random
import socket
from collections.abc import Sequence


def lasting_ports(number: int, offsets: Sequence[int] = (0,)) -> list[int]:
    """Loopback ports that nobody listens on, nor on those at these offsets from each."""
    ports: list[int] = []
    with contextlib.ExitStack() as held:
        while len(ports) < number:
            port = random.SystemRandom().randrange(11_000, 22_000)
            try:
                for offset in offsets:
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port + offset))
            except OSError:
                continue
            ports.append(port)
    return ports
