"""The proxy of `deploy/own_machines/Caddyfile`, run by Caddy: nobody reaches a web server or a page who has not signed on."""

import contextlib
import http.client
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets_tests.alerts.sources.api.api_server import serving
from shotspotter_assets_tests.ports import free_port
from shotspotter_assets_tests.waiting import wait_until

GROUPS = {"olga": ["operators"], "anna": ["analysts"]}


def sign_on(request: Request) -> Response:
    """Answer as oauth2-proxy does: 202 for who has signed on, 401 for who has not, 403 for who is not in the group."""
    person = request.cookies.get("person")
    allowed = request.query_params.get("allowed_groups")
    if person not in GROUPS:
        return Response(status_code=401)
    return Response(status_code=202 if not allowed or allowed in GROUPS[person] else 403)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of Caddy with the shipped configuration, except for names, ports and TLS."""
    caddy = shutil.which("caddy")
    if caddy is None:
        pytest.skip("needs Caddy (Debian: apt-get install caddy)")
    folder = tmp_path_factory.mktemp("sign_on")
    port = free_port()
    (folder / "city_pages").mkdir()
    (folder / "city_pages" / "index.html").write_text("the pages")
    text = (CHECKOUT / "deploy" / "own_machines" / "Caddyfile").read_text()
    text = text.replace("/srv/city_pages", f"{folder}/city_pages")
    for name in ("ui", "look", "pages"):
        assert f"\n{name}.example.org {{" in text
        text = text.replace(f"\n{name}.example.org {{", f"\nhttp://{name}.example.org:{port} {{\n\tbind 127.0.0.1")
    with contextlib.ExitStack() as stack:
        texts = {3000: lambda _: Response("the UI"), 3001: lambda _: Response("the read-only UI")}
        for stated, answer in {4180: sign_on, **texts}.items():
            server = stack.enter_context(serving([Route("/{path:path}", answer)]))
            assert f"127.0.0.1:{stated}" in text
            text = text.replace(f"127.0.0.1:{stated}", server.url.removeprefix("http://"))
        (folder / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https off\n}\n" + text)
        with (folder / "log").open("wb") as log:
            command = [caddy, "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]
            environment = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        stack.callback(process.wait)
        stack.callback(process.kill)
        wait_until(lambda: ask(port, "look", ""), ignored=OSError, process=process, details=(folder / "log").read_text)
        yield port


def ask(port: int, name: str, person: str, path: str = "/") -> tuple[int, str]:
    """Status, and the text or where one is sent."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with contextlib.closing(connection):
        cookie = {"Cookie": f"person={person}"} if person else {}
        connection.request("GET", path, headers={"Host": f"{name}.example.org:{port}", **cookie})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Location") or answer.read().decode()


@pytest.mark.parametrize("name", ["ui", "look", "pages"])
def test_who_has_not_signed_on_is_sent_there_and_back(port: int, name: str) -> None:
    status, to = ask(port, name, "", "/runs")
    assert status == 302
    assert to.startswith("https://ui.example.org/oauth2/sign_in?rd=https://" + name + ".example.org")
    assert to.endswith("/runs")


def test_operators_have_all_and_analysts_what_starts_nothing(port: int) -> None:
    assert ask(port, "ui", "olga") == (200, "the UI")
    assert ask(port, "ui", "anna")[0] == 403
    for person in GROUPS:
        assert ask(port, "look", person) == (200, "the read-only UI")
        assert ask(port, "pages", person) == (200, "the pages")
