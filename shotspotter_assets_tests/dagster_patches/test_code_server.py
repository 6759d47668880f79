"""Processes are killed: another code server comes, runs are made again, and without its daemon the whole of it ends."""

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from dagster._grpc.client import DagsterGrpcClient

from shotspotter_assets.dagster_patches.code_server import NoCodeServerError, wait_for_server
from shotspotter_assets_tests.conftest import TEST_CITIES
from shotspotter_assets_tests.running_system import RUNS, RunningSystem

HELD_CITY = """
name: held_city
time_zone: America/New_York
start: 2024-03-01
box: {{west: -77.0, south: 38.0, east: -76.0, north: 39.0}}
source:
  kind: alerts_api
  url: "{url}/alerts?from={{first}}&to={{last}}"
  paging: {{style: page}}
  patience: {{read_seconds: 600, answer_seconds: 600}}
  columns: {{time: at, source_id: id}}
"""
LANDED = "when,lon,lat,kind,rounds,id\n2024-03-06T17:00:00Z,-76.5,38.5,Single_Gunshot,1,a\n"


@contextlib.contextmanager
def held_feed() -> Iterator[tuple[str, threading.Event]]:
    """The address of a feed without alerts, which answers once the event is set."""
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            released.wait()
            with contextlib.suppress(OSError):
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"[]")

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", released
    finally:
        released.set()
        server.shutdown()
        server.server_close()


def test_a_code_server_that_ends_while_it_starts_is_not_waited_for(tmp_path: Path) -> None:
    socket = str(tmp_path / "socket")
    # The process behind the proxy has no time to start.
    command = [sys.executable, "-m", "dagster", "code-server", "start", "-m", "shotspotter_assets.definitions"]
    with (tmp_path / "log").open("wb") as log:
        proxy = subprocess.Popen([*command, "--socket", socket, "--startup-timeout", "1"], stdout=log, stderr=log)
    try:
        with pytest.raises(NoCodeServerError, match="has ended while it started"):
            wait_for_server(proxy, DagsterGrpcClient(socket=socket), command, timeout=240)
    finally:
        proxy.kill()
        proxy.wait()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ticks_and_runs_go_on_after_the_code_server_was_killed(tmp_path: Path) -> None:
    with held_feed() as (url, released):
        cities = {
            "landing_city": (TEST_CITIES / "landing_city.yaml").read_text(),
            "held_city": HELD_CITY.format(url=url),
        }
        with RunningSystem(tmp_path, cities) as system:
            days = [f"2024-03-0{day}" for day in (2, 3, 4)]
            for day in days:
                system.launch("raw_alerts", "held_city", day)
            system.wait_for(lambda: sorted(system.runs().values()) == ["QUEUED", "STARTED", "STARTED"], seconds=240)
            [server] = system.code_servers()
            worker = next(child for child in server.children() if "--multiprocessing-fork" in child.cmdline())
            server.kill()
            worker.kill()  # of one of the two runs that have started; the other one goes on
            killed_at = time.time()
            released.set()
            (system.landing / "landing_city" / "new.csv").write_text(LANDED)
            expected = dict.fromkeys([*(f"held_city|{day}" for day in days), "landing_city|2024-03-06"], "SUCCESS")
            system.wait_for(lambda: expected.items() <= system.runs().items(), seconds=400)
            failed = [run["status"] for run in system.ask(RUNS)["runsOrError"]["results"]].count("FAILURE")
            assert failed == 1
            [another] = system.code_servers()
            assert another.pid != server.pid
            later = [tick for tick in system.ticks("landing_arrivals") if tick["timestamp"] > killed_at]
            assert {"SUCCESS", "SKIPPED"} & {tick["status"] for tick in later}
            assert "The code server has ended. Another one is started in its place." in system.log.read_text()
            [daemon] = system.daemons()
            daemon.kill()
            system.process.wait(60)  # for whoever starts it again
