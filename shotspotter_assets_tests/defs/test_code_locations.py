import contextlib
import functools
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets_tests.deploy.machines import RUNS, TOWN, launch
from shotspotter_assets_tests.ports import free_port
from shotspotter_assets_tests.waiting import wait_until

NODES = "{ assetNodes { assetKey { path } repository { location { name } } } }"
MAX_WAIT_S = 240.0


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The address of a web server over code servers of an eastern and a western location."""
    programs, home = Path(sys.executable).parent, tmp_path / "home"
    home.mkdir()
    environ = os.environ | {"DAGSTER_HOME": str(home), "SHOTSPOTTER_STORE": str(tmp_path / "store")}
    environ["SHOTSPOTTER_LANDING"] = str(tmp_path / "landing")
    settings: dict[str, Any] = {"telemetry": {"enabled": False}}
    settings["run_coordinator"] = {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"}
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    servers, locations = [], []
    for location in ("east", "west"):
        cities, port = tmp_path / location, free_port()
        cities.mkdir()
        (cities / f"city_{location}.yaml").write_text(
            TOWN.format(name=f"city_{location}", first="2024-03-01", last="2024-03-10", seed=3)
        )
        command = ["dagster", "api", "grpc", "-m", "shotspotter_assets.definitions", "-h", "127.0.0.1", "-p", str(port)]
        servers.append(([str(programs / command[0]), *command[1:]], environ | {"SHOTSPOTTER_CITIES": str(cities)}))
        locations.append({"grpc_server": {"host": "127.0.0.1", "port": port, "location_name": location}})
    workspace, port = tmp_path / "workspace.yaml", free_port()
    workspace.write_text(yaml.safe_dump({"load_from": locations}))
    web = ["dagster-webserver", "-w", str(workspace), "-h", "127.0.0.1", "-p", str(port)]
    servers.append(([str(programs / web[0]), *web[1:]], environ))
    with contextlib.ExitStack() as stack:
        for command, variables in servers:
            process = subprocess.Popen(command, env=variables, cwd=CHECKOUT, stderr=subprocess.DEVNULL)
            stack.callback(_end, process)
            # The web server comes last: it shows no location whose code server did not answer as it started.
            at = "127.0.0.1", int(command[-1])
            how = {"seconds": MAX_WAIT_S, "ignored": OSError, "process": process}
            wait_until(lambda at=at: not socket.create_connection(at).close(), **how)
        yield f"http://127.0.0.1:{at[1]}/graphql"


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:  # a code server waits for its clients
        process.kill()
        process.wait()


def ask(url: str, query: str, **variables: Any) -> Any:
    return requests.post(url, json={"query": query, "variables": variables}, timeout=30).json()["data"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_each_location_shows_and_runs_its_own_cities(url: str) -> None:
    def located() -> dict[str, str]:
        nodes = ask(url, NODES)["assetNodes"]
        cities = {node["assetKey"]["path"][0]: node["repository"]["location"]["name"] for node in nodes}
        cities.pop("shared_models", None)
        return cities if len(cities) == 2 else {}

    cities = wait_until(located, MAX_WAIT_S, ignored=(OSError, KeyError, TypeError))
    assert cities == {"city_east": "east", "city_west": "west"}
    tags, asked = {"dagster/partition": "2024-03-02"}, functools.partial(ask, url)
    launched = [launch(asked, f"city_{at}", ["raw_alerts"], tags, location=at) for at in ("east", "west")]

    def all_ended() -> bool:
        status = {run["runId"]: run["status"] for run in ask(url, RUNS)["runsOrError"]["results"]}
        return [status[run_id] for run_id in launched] == ["SUCCESS", "SUCCESS"]

    wait_until(all_ended, MAX_WAIT_S, ignored=(OSError, KeyError, TypeError))
