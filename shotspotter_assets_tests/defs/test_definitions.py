import contextlib
import functools
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests
import yaml
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._serdes import deserialize_value, serialize_value

from shotspotter_assets.definitions import city_assets
from shotspotter_assets.defs.partitions import asset_key
from shotspotter_assets.defs.requested_runs import JOBS
from shotspotter_assets.models.forecaster_registry import FORECASTERS
from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets.storage.catalogue import ALERTS, PRODUCTS, Asset
from shotspotter_assets_tests.defs.chain import CITIES, resources
from shotspotter_assets_tests.deploy.machines import RUNS, TOWN, launch
from shotspotter_assets_tests.ports import free_port
from shotspotter_assets_tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
HEAVY = ("tensorflow", "keras", "sklearn", "matplotlib", "lightgbm", "pandas", "pyarrow", "numpy", "scipy")
DAILY_CHAIN = (*ALERTS, *PRODUCTS, "forecast_scores", "city_pages")


@functools.cache
def definitions() -> dg.Definitions:
    return resources("store").definitions


def test_heavy_libraries_are_not_imported() -> None:
    code = (
        "import sys, warnings; import shotspotter_assets.definitions as d; d.defs();"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_the_repository_snapshot_survives_serialisation() -> None:
    # A custom partition mapping passes `definitions validate` and breaks here, in the UI and in the daemon.
    snapshot = RepositorySnap.from_def(definitions().get_repository_def())
    assert deserialize_value(serialize_value(snapshot), RepositorySnap) == snapshot


def test_the_function_of_an_op_has_the_name_of_its_asset() -> None:
    for assets in definitions().assets or ():
        assert {assets.op.compute_fn.decorated_fn.__name__} == {key.path[-1] for key in assets.keys}


def test_every_city_has_its_own_described_assets() -> None:
    specs = list(definitions().resolve_all_asset_specs())
    keys = {spec.key for spec in specs}
    assert keys == {dg.AssetKey(Asset.SHARED_MODELS)} | {
        asset_key(city, asset)
        for city in CITIES.values()
        for asset in Asset
        if city.has(asset) and asset is not Asset.SHARED_MODELS
    }
    for spec in specs:
        assert spec.description
        assert spec.group_name in {*CITIES, "shared"}
        assert spec.code_version
        assert spec.kinds


def test_one_run_can_build_the_newest_day() -> None:
    chain = {asset_key(CITIES["tiny_city"], name) for name in DAILY_CHAIN}
    job = definitions().resolve_implicit_global_asset_job_def().get_subset(asset_selection=chain)
    assert set(job.asset_layer.executable_asset_keys) == chain


def test_sensors_may_request_all_assets_but_searches_and_nowcasts() -> None:
    city = CITIES["tiny_city"]
    keys = {key for assets in city_assets(city).assets for key in assets.keys}
    requested = {asset_key(city, asset) for job in JOBS.values() for asset in job.assets if city.has(asset)}
    assert keys - requested == {asset_key(city, Asset.TUNED_SETTINGS), asset_key(city, Asset.NOWCASTS)}


def test_every_check_of_a_partitioned_asset_declares_its_partitions() -> None:
    graph = definitions().resolve_asset_graph()
    assert graph.asset_check_keys
    for key in graph.asset_check_keys:
        assert graph.get(key).partitions_def == graph.get(key.asset_key).partitions_def


def test_folds_train_one_at_a_time_and_the_newest_day_never_waits_for_them() -> None:
    graph = definitions().resolve_asset_graph()
    assert graph.get(dg.AssetKey(["landing_city", "fold_models"])).pools == {"training"}
    assert not graph.get(dg.AssetKey(["tiny_city", "fold_models"])).pools, (
        "simulated: its trainings delay no other city"
    )
    assert not any(graph.get(asset_key(CITIES["tiny_city"], name)).pools for name in DAILY_CHAIN)


def test_the_launchpad_explains_every_setting_of_every_forecaster() -> None:
    job = definitions().resolve_implicit_global_asset_job_def()
    fields = job.graph.node_named("tiny_city__fold_models").definition.config_schema.config_type.fields
    sections = {name: entry.settings for name, entry in FORECASTERS.items() if entry.settings.model_fields}
    # In the order of the launchpad, which sorts by name: common choices come before the long sections.
    assert sorted(fields) == ["folds", "models", "settings"]
    of_forecasters = fields["settings"].config_type.fields
    assert set(of_forecasters) == set(sections)
    for name, section in sections.items():
        shown = of_forecasters[name].config_type.fields
        assert set(shown) == set(section.model_fields)
        for key, field in shown.items():
            assert field.description.endswith(f"By default {section.model_fields[key].get_default()}."), (name, key)


@pytest.mark.parametrize(
    "command",
    [
        ["dagster", "definitions", "validate", "--workspace", "shotspotter_assets/workspace.yaml"],
        ["dg", "check", "defs"],
    ],
)
def test_the_command_line_finds_nothing_wrong(command: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / command[0]), *command[1:]],
        capture_output=True, text=True, cwd=ROOT, check=False, env={**os.environ, "DAGSTER_HOME": str(tmp_path)},
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    ours = [line for line in output.splitlines() if "arning" in line and "site-packages" not in line]
    assert ours == []


NODES = "{ assetNodes { assetKey { path } repository { location { name } } } }"
MAX_WAIT_S = 900.0


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The address of a web server over code servers of an eastern and a western location."""
    programs = Path(sys.executable).parent
    home = tmp_path / "home"
    home.mkdir()
    environ = os.environ | {"DAGSTER_HOME": str(home), "SHOTSPOTTER_STORE": str(tmp_path / "store")}
    environ["SHOTSPOTTER_LANDING"] = str(tmp_path / "landing")
    settings: dict[str, Any] = {"telemetry": {"enabled": False}}
    settings["run_coordinator"] = {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"}
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    servers = []
    locations = []
    for location in ("east", "west"):
        cities = tmp_path / location
        port = free_port()
        cities.mkdir()
        (cities / f"city_{location}.yaml").write_text(
            TOWN.format(name=f"city_{location}", first="2024-03-01", last="2024-03-10", seed=3)
        )
        command = ["dagster", "api", "grpc", "-m", "shotspotter_assets.definitions", "-h", "127.0.0.1", "-p", str(port)]
        servers.append(([str(programs / command[0]), *command[1:]], environ | {"SHOTSPOTTER_CITIES": str(cities)}))
        locations.append({"grpc_server": {"host": "127.0.0.1", "port": port, "location_name": location}})
    workspace = tmp_path / "workspace.yaml"
    port = free_port()
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
    return requests.post(url, json={"query": query, "variables": variables}, timeout=300).json()["data"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_each_location_shows_and_runs_its_own_cities(url: str) -> None:
    def located() -> dict[str, str]:
        nodes = ask(url, NODES)["assetNodes"]
        cities = {node["assetKey"]["path"][0]: node["repository"]["location"]["name"] for node in nodes}
        cities.pop("shared_models", None)
        return cities if len(cities) == 2 else {}

    cities = wait_until(located, MAX_WAIT_S, ignored=(OSError, KeyError, TypeError))
    assert cities == {"city_east": "east", "city_west": "west"}
    tags = {"dagster/partition": "2024-03-02"}
    asked = functools.partial(ask, url)
    launched = [launch(asked, f"city_{at}", ["raw_alerts"], tags, location=at) for at in ("east", "west")]

    def all_ended() -> bool:
        status = {run["runId"]: run["status"] for run in ask(url, RUNS)["runsOrError"]["results"]}
        return [status[run_id] for run_id in launched] == ["SUCCESS", "SUCCESS"]

    wait_until(all_ended, MAX_WAIT_S, ignored=(OSError, KeyError, TypeError))
