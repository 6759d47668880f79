"""Free loopback ports."""

import contextlib
import random
import socket
from collections.abc import Sequence


def lasting_ports(number: int, offsets: Sequence[int] = (0,)) -> list[int]:
    """Return free ports below the range of outgoing connections, for servers that restart; their `offsets` are free, too."""
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


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as listener:
        listener.bind((host, 0))
        return int(listener.getsockname()[1])
