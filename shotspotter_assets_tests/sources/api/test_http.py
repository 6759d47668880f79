"""Answers that are made to harm who asks: packed gigabytes, drips without end, millions of values."""

import gzip
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from shotspotter_assets.cities.registry import PACKAGE_CITIES, load_city
from shotspotter_assets.cities.source_settings import Limits, Patience
from shotspotter_assets.sources.api.http import JsonApi
from shotspotter_assets.sources.protocol import SourceError

DC = load_city(PACKAGE_CITIES / "washington_dc.yaml")
PATIENCE = Patience(read_seconds=5, answer_seconds=1, retries=0, backoff_seconds=0)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server whose answers are whatever is sent; its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection, suppress(OSError):
                        connection.recv(1 << 16)
                        answer(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/alerts"


def asked(answer: Callable[[socket.socket], None], **limits: Any) -> Any:
    city = DC.model_copy(update={"limits": Limits(**limits)})
    with answering(answer) as url, JsonApi(city, PATIENCE) as api:
        return api.get(url).content


def whole(body: bytes, head: bytes = b"") -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(HEAD + head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)


def drip(before: bytes) -> Callable[[socket.socket], None]:
    """A byte at a time, without end, and soon enough for any time-out between bytes."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(before)
        for _ in range(100):
            time.sleep(0.1)
            connection.sendall(b" ")

    return answer


def test_an_answer_in_time_and_within_the_limits_is_read() -> None:
    assert asked(whole(gzip.compress(b'[{"a": 1}]'), b"Content-Encoding: gzip\r\n")) == [{"a": 1}]


@pytest.mark.parametrize(
    "before",
    [b"HTTP/1.1 200 OK\r\nX: ", HEAD + b"Content-Length: 1000\r\n\r\n[", HEAD + b"Connection: close\r\n\r\n[1]"],
)
def test_an_answer_that_drips_is_given_up_in_time(before: bytes) -> None:
    started = time.monotonic()
    with pytest.raises(
        SourceError, match=r"City washington_dc: .*no whole answer in time \(5 s without data, 1 s in all\)"
    ):
        asked(drip(before))
    assert time.monotonic() - started < 4


def test_packed_gigabytes_are_not_unpacked() -> None:
    packed = gzip.compress(bytes(2**20)) * 1000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SourceError, match=r"larger than 32 MB; raise limits\.max_answer_mb in the city's file, or ask"):
        asked(whole(packed, b"Content-Encoding: gzip\r\n"), max_answer_mb=32)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000


def test_pages_without_end_are_given_up() -> None:
    page = b"[" + b"1," * 300_000 + b"1]"
    with (
        answering(whole(page)) as url,
        JsonApi(DC.model_copy(update={"limits": Limits(max_expanded_mb=1)}), PATIENCE) as api,
    ):
        api.get(url)
        with pytest.raises(
            SourceError, match=r"the answers together are larger than 1 MB; raise limits\.max_expanded_mb"
        ):
            api.get(url)


def test_millions_of_values_are_counted_before_they_are_made() -> None:
    with pytest.raises(SourceError, match=r"more than 1,000 values; raise limits\.max_cells in the city's file"):
        asked(whole(b"[" + b"{}," * 1000 + b"{}]"), max_cells=1000)


def test_an_answer_that_is_nested_without_end_is_an_error_of_its_address() -> None:
    with pytest.raises(SourceError, match=r"http://127\.0\.0\.1:.*nested too deeply"):
        asked(whole(b"[" * 200_000 + b"]" * 200_000))
