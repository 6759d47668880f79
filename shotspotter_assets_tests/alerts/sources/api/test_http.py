import gzip
import json
import logging
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shotspotter_assets.alerts.sources.alert_source import SourceError
from shotspotter_assets.alerts.sources.api import http
from shotspotter_assets.alerts.sources.api.http import JsonApi
from shotspotter_assets.alerts.sources.tabular_settings import Patience, SentToken, finder
from shotspotter_assets.city_files import PACKAGE_CITIES, load_city
from shotspotter_assets_tests.alerts.sources.api.api_server import Server, serving

DC = load_city(PACKAGE_CITIES / "washington_dc.yaml")
TOKEN = "bearer-Zx81kQ0vT7/yLm3PpWc5Rn9Hd2Gf6Js4Ab+end"
BY_HEADER = SentToken(variable="TOKEN")
BY_PARAMETER = SentToken(variable="TOKEN", sent_as="parameter", name="key")
PATIENCE = Patience(retries=0)
QUICK = Patience(retries=2)
ERROR = finder("error")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ROUTES = [Route("/alerts", lambda _: JSONResponse([{"a": 1}]))]


def fetched(server: Server, patience: Patience = QUICK, sent: SentToken | None = None, secret: str = TOKEN) -> Any:
    with JsonApi(DC.name, patience, sent, secret if sent else None, ERROR) as api:
        return api.get(f"{server.url}/alerts", {"day": 1}).content


@pytest.mark.parametrize("fault", ["429", "500", "503", "202", "truncated", "not json", "busy 200"])
def test_passing_failures_are_retried(fault: str) -> None:
    with serving(ROUTES) as server:
        server.faults.append(fault)
        assert fetched(server) == [{"a": 1}]
        assert len(server.requests) == 2


def test_retry_after_is_honoured_up_to_the_longest_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(ROUTES) as server:
        server.faults.append("429 1")
        monkeypatch.setattr(http, "MAX_WAIT_SECONDS", 120.0)
        begun = time.monotonic()
        fetched(server)
        assert time.monotonic() - begun >= 1
        server.faults.append("429 86400")
        monkeypatch.setattr(http, "MAX_WAIT_SECONDS", 0.1)
        fetched(server)
        assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("429", "HTTP 429; the publisher limits requests; set a token"),
        ("500", "HTTP 500: Internal error; try again later"),
        ("404", "HTTP 404: Not found; check the address"),
        ("moved", "HTTP 301: moved to elsewhere.example; write the new address"),
        ("html", "HTTP 200: the answer is not whole JSON"),
        ("not json", "HTTP 200: the answer is not whole JSON (16 bytes); check that the address"),
        ("truncated", "no whole answer, asked 3 times (ProtocolError)"),
        ("error 200", "HTTP 200 with error 400: Unable to perform bad; check the columns"),
        ("busy 200", "HTTP 200 with error 503: Service busy; try again later"),
        ("slow 2", "no whole answer, asked 3 times (Read"),
    ],
)
def test_failures_that_stay_name_city_address_and_remedy(fault: str, says: str) -> None:
    patience = QUICK.model_copy(update={"answer_seconds": 0.2 if "slow" in fault else 60})
    with serving(ROUTES) as server:
        server.faults.extend([fault] * 9)
        with pytest.raises(SourceError) as caught:
            fetched(server, patience, BY_PARAMETER)
        assert len(server.requests) <= 3
    message = str(caught.value)
    assert message.startswith(f"City washington_dc: {server.url}/alerts?day=1: {says}")
    assert TOKEN not in message
    assert "\n" not in message


def test_a_server_that_is_away() -> None:
    with serving([]) as server:
        pass
    says = r"no whole answer, asked 3 times \(ConnectionError\); check the network"
    with pytest.raises(SourceError, match=says) as caught:
        fetched(server, sent=BY_PARAMETER)
    assert caught.value.__context__ is None


def test_tokens_that_cannot_be_sent_are_refused() -> None:
    with pytest.raises(SourceError, match="no token; set the environment variable TOKEN"):
        JsonApi(DC.name, QUICK, BY_HEADER, None, ERROR)
    with pytest.raises(SourceError, match="characters that no token has"):
        JsonApi(DC.name, QUICK, BY_HEADER, "two\nlines", ERROR)


def test_a_slow_row_of_pages_is_given_up() -> None:
    patience = Patience(answer_seconds=1.0, retries=0)
    with serving(ROUTES) as server, JsonApi(DC.name, patience, None, None, ERROR) as api:
        api.get(f"{server.url}/alerts", {"day": 1})
        time.sleep(1.2)
        with pytest.raises(SourceError, match="did not come within"):
            api.get(f"{server.url}/alerts", {"day": 2})


@pytest.mark.parametrize("sent", [BY_HEADER, BY_PARAMETER])
def test_a_token_is_sent_and_never_logged(sent: SentToken, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="urllib3.connectionpool")  # notices make it quiet
    with serving(ROUTES) as server:
        server.faults.extend(["500", "not json"])
        assert fetched(server, sent=sent) == [{"a": 1}]
        for request in server.requests:
            shown = request.query_params.get("key") or request.headers["Authorization"].removeprefix("Bearer ")
            assert shown == TOKEN
    assert "/alerts?day=1" in caplog.text
    assert not any(TOKEN[at : at + 8] in caplog.text for at in range(len(TOKEN) - 7))


@pytest.mark.parametrize("status", [200, 301, 400, 500])
@pytest.mark.parametrize("kind", ["application/json", "text/html"])
def test_token_in_answer_is_not_shown(status: int, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    lengths = [*range(155, 201, 9), 40]  # characters before the token, which then lies across the cut

    async def answer(request: Request) -> Response:
        said = "x" * lengths[0] + TOKEN * 3
        content = json.dumps({"error": {"code": said, "message": said}}) if kind.endswith("json") else said
        headers = {"Location": f"https://a.example/{said}?{TOKEN}"} if status == 301 else {}
        return Response(content, status, headers | {"Content-Type": f"{kind}; x={TOKEN}"})

    with serving([Route("/{rest:path}", answer)]) as server:
        while lengths:
            with pytest.raises(SourceError) as caught:
                fetched(server, PATIENCE, BY_HEADER)
            shown = str(caught.value) + repr(caught.value.__context__) + caplog.text
            assert f"HTTP {status}" in shown
            assert not any(TOKEN[at : at + 8] in shown for at in range(len(TOKEN) - 7))
            del lengths[0]


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
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


def asked(answer: Callable[[socket.socket], None], times: int = 1, patience: Patience = PATIENCE) -> Any:
    with answering(answer) as url, JsonApi(DC.name, patience, None, None, ERROR) as api:
        return [api.get(url).content for _ in range(times)][-1]


def whole(body: bytes, head: bytes = b"") -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(HEAD + head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)


def drip(before: bytes, seconds: float) -> Callable[[socket.socket], None]:
    """A byte at a time, soon enough for any time-out between bytes."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(before)
        connection.settimeout(0.1)
        for _ in range(round(seconds / 0.1)):
            with suppress(TimeoutError):
                if not connection.recv(1):  # the client has left
                    return
            connection.sendall(b" ")

    return answer


def test_packed_answers_are_read() -> None:
    assert asked(whole(gzip.compress(b'[{"a": 1}]'), b"Content-Encoding: gzip\r\n")) == [{"a": 1}]


@pytest.mark.parametrize("head", [b"Content-Length: 1000\r\n\r\n[", b"Connection: close\r\n\r\n[1]"])
def test_an_answer_that_drips_is_given_up_in_time(head: bytes) -> None:
    started = time.monotonic()
    with pytest.raises(SourceError, match=r"in 1 s; .*source\.patience"):
        asked(drip(HEAD + head, seconds=120), patience=PATIENCE.model_copy(update={"answer_seconds": 1.0}))
    assert time.monotonic() - started < 60


def test_packed_gigabytes_are_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER_MB", 32)
    packed = gzip.compress(bytes(2**20)) * 1000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SourceError, match="larger than 32 MB"):
        asked(whole(packed, b"Content-Encoding: gzip\r\n"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 250_000


def test_pages_without_end_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER_MB", 1)
    page = b"[" + b"1," * 300_000 + b"1]"
    with pytest.raises(SourceError, match="larger than 1 MB"):
        asked(whole(page), times=2)


def test_endless_nesting_is_no_json() -> None:
    with pytest.raises(SourceError, match=r"http://127\.0\.0\.1:.*not whole JSON"):
        asked(whole(b"[" * 200_000 + b"]" * 200_000))
