"""The values of `deploy/kubernetes`: what Dagster's chart makes of them is loaded, and runs are launched as jobs of a stand-in."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._config import process_config
from dagster._core.storage.dagster_run import RunOpConcurrency
from dagster_aws.s3.compute_log_manager import S3ComputeLogManager
from dagster_postgres.run_storage import PostgresRunStorage
from shotspotter_assets.rehearsal.processes import free_port
from sqlalchemy.engine import make_url

from shotspotter_assets.dagster_patches.instance import PatchedInstance
from shotspotter_assets.dagster_patches.kubernetes_launcher import SizedK8sRunLauncher
from shotspotter_assets.dagster_patches.postgres_event_log import BatchedPostgresEventLogStorage
from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets.storage.file_names import ALERTS_FILE, GRID_FILE
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.deploy.four_backfills import (
    CITIES,
    DAYS,
    FIRST,
    LAST,
    all_made,
    launch,
    objects,
    on_one_machine,
)
from shotspotter_assets_tests.deploy.stand_in_of_kubernetes import Kubernetes, stand_in
from shotspotter_assets_tests.deploy.town import TOWN
from shotspotter_assets_tests.postgres_server import PostgresServer
from shotspotter_assets_tests.s3_server import S3Server

FOLDER = CHECKOUT / "deploy" / "kubernetes"
PROGRAMS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "values.yaml").read_text())


def dagster_yaml(values: dict[str, Any]) -> str:
    """What the chart's template `configmap-instance.yaml` (1.13) writes for these values.

    It writes its own keys, among them one that excludes others, and then all of `additionalInstanceConfig`, where some have
    the same names.
    """
    database, log_manager = values["postgresql"], values["computeLogManager"]
    storage = {
        "postgres_db": {
            "username": database["postgresqlUsername"], "password": {"env": "DAGSTER_PG_PASSWORD"},
            "hostname": database["postgresqlHost"], "db_name": database["postgresqlDatabase"],
            "port": database["service"]["port"], "params": {}, "scheme": database["postgresqlScheme"],
        }
    }  # fmt: skip
    assert (values["runLauncher"]["type"], log_manager["type"]) == ("CustomRunLauncher", "S3ComputeLogManager")
    logs = log_manager["config"]["s3ComputeLogManager"]
    own = {
        "scheduler": {"module": "dagster.core.scheduler", "class": "DagsterDaemonScheduler"},
        "schedule_storage": {
            "module": "dagster_postgres.schedule_storage", "class": "PostgresScheduleStorage", "config": storage,
        },
        "run_launcher": values["runLauncher"]["config"]["customRunLauncher"],
        "run_storage": {"module": "dagster_postgres.run_storage", "class": "PostgresRunStorage", "config": storage},
        "event_log_storage": {
            "module": "dagster_postgres.event_log", "class": "PostgresEventLogStorage", "config": storage,
        },
        "run_coordinator": {
            "module": "dagster._core.run_coordinator", "class": "QueuedRunCoordinator",
            "config": {"max_concurrent_runs": 25, "dequeue_use_threads": True},
        },
        "compute_logs": {
            "module": "dagster_aws.s3.compute_log_manager", "class": "S3ComputeLogManager",
            "config": {
                "bucket": logs["bucket"], "prefix": logs["prefix"], "verify": True,
                "skip_empty_files": logs["skipEmptyFiles"],
            },
        },
        "run_monitoring": {
            "enabled": True, "start_timeout_seconds": 300, "max_resume_run_attempts": 0, "poll_interval_seconds": 120,
            "free_slots_after_run_end_seconds": 0,
        },
        "run_retries": {"enabled": True},
        "sensors": {"use_threads": True, "num_workers": 4},
        "schedules": {"use_threads": True, "num_workers": 4},
        "telemetry": values["telemetry"],
    }  # fmt: skip
    return yaml.safe_dump(own) + yaml.safe_dump(values["additionalInstanceConfig"])


def written(folder: Path, values: dict[str, Any], kubeconfig: Path, database: str) -> Path:
    """A home with the chart's `dagster.yaml`, in which addresses and the time between looks alone are others."""
    url, text = make_url(database), dagster_yaml(values)
    changes = {
        "hostname: postgres.example.org": f"hostname: {url.host}", "port: 5432": f"port: {url.port}",
        "db_name: dagster": f"db_name: {url.database}", "username: dagster": f"username: {url.username}",
        "poll_interval_seconds: 30": "poll_interval_seconds: 3",
        "    job_namespace:": f"    load_incluster_config: false\n    kubeconfig_file: {kubeconfig}\n    job_namespace:",
    }  # fmt: skip
    for stated, here in changes.items():
        assert stated in text, stated
        text = text.replace(stated, here)
    home = folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(text)
    return home


def test_what_the_chart_writes_is_an_instance_with_the_project_s_own_parts(
    values: dict[str, Any], tmp_path: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_PG_PASSWORD", "secret")
    monkeypatch.setenv("DAGSTER_LOGS_BUCKET", "logs")
    with (
        stand_in(tmp_path, {}, {}) as (_, kubeconfig),
        dg.DagsterInstance.from_config(
            str(written(tmp_path, values, kubeconfig, postgres_server.new_database()))
        ) as instance,
    ):
        assert isinstance(instance, PatchedInstance)
        assert isinstance(instance.event_log_storage, BatchedPostgresEventLogStorage)
        assert isinstance(instance.run_storage, PostgresRunStorage)
        assert isinstance(instance.compute_log_manager, S3ComputeLogManager)
        assert isinstance(instance.run_launcher, SizedK8sRunLauncher)
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert instance.run_monitoring_max_resume_run_attempts == 0
        queue = instance.get_concurrency_config().run_queue_config
        assert queue
        assert (queue.max_concurrent_runs, queue.max_user_code_failure_retries) == (16, 40)


def test_all_but_the_queue_and_the_database_is_as_on_own_machines(values: dict[str, Any]) -> None:
    here = yaml.safe_load(dagster_yaml(values))
    there = yaml.safe_load((CHECKOUT / "deploy" / "own_machines" / "dagster.yaml").read_text())
    assert here["run_coordinator"]["config"] == there.pop("run_queue")
    for storage in ("event_log_storage", "run_storage", "schedule_storage"):
        assert (here[storage]["module"], here[storage]["class"]) == (there[storage]["module"], there[storage]["class"])
    same = set(there) - {
        "event_log_storage",
        "run_storage",
        "schedule_storage",
        "run_launcher",
        "run_monitoring",
        "compute_logs",
    }
    assert {name: here[name] for name in same} == {name: there[name] for name in same}
    differ = {name for name, value in here["run_monitoring"].items() if there["run_monitoring"].get(name) != value}
    assert differ == {"start_timeout_seconds", "max_resume_run_attempts"}


def test_no_container_of_ours_can_write_but_to_tmp_or_is_root(values: dict[str, Any]) -> None:
    [code] = values["dagster-user-deployments"]["deployments"]
    launcher = values["runLauncher"]["config"]["customRunLauncher"]["config"]
    run = {
        "securityContext": launcher["security_context"], "volumes": launcher["volumes"],
        "volumeMounts": launcher["volume_mounts"],
        "podSecurityContext": launcher["run_k8s_config"]["pod_spec_config"]["security_context"],
    }  # fmt: skip
    for pod in (values["dagsterWebserver"], values["dagsterDaemon"], code, run):
        assert pod["securityContext"]["readOnlyRootFilesystem"]
        assert pod["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert pod["podSecurityContext"]["runAsNonRoot"]
        assert pod["podSecurityContext"]["runAsUser"] == 10001
        assert "--uid 10001" in (CHECKOUT / "deploy" / "own_machines" / "Dockerfile").read_text()
        assert [volume["emptyDir"] for volume in pod["volumes"]] == [{}]
        assert [mount["mountPath"] for mount in pod["volumeMounts"]] == ["/tmp"]


@pytest.mark.parametrize(
    ("pools", "tags", "size"),
    [
        ({"training"}, {}, ("4", "16Gi")),
        (set(), {}, ("2", "8Gi")),
        (None, {}, ("2", "8Gi")),
        (
            {"training"},
            {"dagster-k8s/config": '{"container_config": {"resources": {"requests": {"cpu": "8"}}}}'},
            ("8", "16Gi"),
        ),
    ],
)
def test_pods_that_train_are_larger_and_a_run_s_own_tags_win(
    values: dict[str, Any], tmp_path: Path, pools: set[str] | None, tags: dict[str, str], size: tuple[str, str]
) -> None:
    config = values["runLauncher"]["config"]["customRunLauncher"]["config"]
    with stand_in(tmp_path, {}, {}) as (_, kubeconfig):
        local = {"load_incluster_config": False, "kubeconfig_file": str(kubeconfig)}
        checked = process_config(SizedK8sRunLauncher.config_type(), {**config, **local})
        assert checked.success, checked.errors
        launcher = SizedK8sRunLauncher.from_config_value(None, checked.value)
    waits_for = RunOpConcurrency(root_key_counts={}, has_unconstrained_root_nodes=False, all_pools=pools)
    run = dg.DagsterRun("job", tags=tags, run_op_concurrency=waits_for)
    container = launcher.get_container_context_for_run(run).run_k8s_config.container_config
    assert (container["resources"]["requests"]["cpu"], container["resources"]["requests"]["memory"]) == size
    assert container["resources"]["limits"] == {"memory": size[1]}


@pytest.fixture
def cluster(
    values: dict[str, Any], tmp_path: Path, postgres_server: PostgresServer, s3_server: S3Server, s3_store_root: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[Kubernetes, Path]]:  # fmt: skip
    """The stand-in with a code server and the daemon, as the chart starts them; what the secrets hold is in pods alone."""
    files = tmp_path / "cities"
    files.mkdir()
    for seed, name in enumerate(CITIES):
        (files / f"{name}.yaml").write_text(TOWN.format(name=name, first=FIRST, last=LAST, seed=seed))
    secrets = {
        "shotspotter": {
            **s3_server.environment(), "DAGSTER_LOGS_BUCKET": s3_server.bucket, "SHOTSPOTTER_STORE": s3_store_root,
            "SHOTSPOTTER_LANDING": f"{s3_store_root}/landing",
        },
        "shotspotter-database": {"postgresql-password": "secret"},
    }  # fmt: skip
    local = {
        "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path), "PYTHONPATH": str(CHECKOUT),
        "SHOTSPOTTER_CITIES": str(files), "OMP_NUM_THREADS": "1", "DAGSTER_HOME": str(tmp_path / "home"),
    }  # fmt: skip
    own = local | secrets["shotspotter"] | {"DAGSTER_PG_PASSWORD": "secret"}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    with contextlib.ExitStack() as stack:
        kubernetes, kubeconfig = stack.enter_context(stand_in(tmp_path, secrets, local))
        home = written(tmp_path, values, kubeconfig, postgres_server.new_database())
        [code], port = values["dagster-user-deployments"]["deployments"], str(free_port())
        (home / "workspace.yaml").write_text(
            f"load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: {code['name']}}}\n"
        )
        image = {"DAGSTER_CURRENT_IMAGE": "registry.example.org/shotspotter:1"}

        def start(*command: str) -> None:
            with (tmp_path / f"{command[1]}.log").open("wb") as log:
                process = subprocess.Popen(command, env=own | image, stdout=log, stderr=log, start_new_session=True)
            stack.callback(process.wait)
            stack.callback(os.killpg, process.pid, signal.SIGKILL)

        start("dagster", "api", "grpc", "-h", "127.0.0.1", "-p", port, *code["dagsterApiGrpcArgs"])
        health = ("dagster", "api", "grpc-health-check", "-p", port)
        wait_for(tmp_path, lambda: subprocess.run(health, env=own, capture_output=True, check=False).returncode == 0)
        start("dagster-daemon", "run", "-w", str(home / "workspace.yaml"))
        yield kubernetes, home


def wait_for(folder: Path, what: Callable[[], Any], seconds: float = 280) -> Any:
    """What comes out once it is true."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := what():
            return found
        time.sleep(0.2)
    said = "\n".join(f"--- {log}\n{log.read_text()[-1500:]}" for log in folder.glob("*.log"))
    raise AssertionError(f"not within {seconds:g} s\n{said}")


def half_made(instance: dg.DagsterInstance, store: Store) -> dg.DagsterRun | None:
    """A run that has stored the alerts of some days and no grid of the last one."""
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        city = run.tags["dagster/asset_partition_range_start"].partition("|")[0]
        if store.days_present("raw_alerts", city, ALERTS_FILE):
            assert LAST not in store.days_present("grid_tensors", city, GRID_FILE), (
                "the run was done before it was found"
            )
            return run
    return None


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_runs_are_jobs_and_one_whose_node_is_lost_is_made_again(
    cluster: tuple[Kubernetes, Path], s3_server: S3Server, s3_store_root: str, tmp_path: Path
) -> None:
    kubernetes, home = cluster
    with dg.DagsterInstance.from_config(str(home)) as instance:
        launch(instance, Path(os.environ["SHOTSPOTTER_CITIES"]))
        lost = wait_for(tmp_path, lambda: half_made(instance, Store(s3_store_root, s3_server.client())))
        kubernetes.kill(f"dagster-run-{lost.run_id}")
        wait_for(tmp_path, lambda: all_made(instance))
        records = {record.dagster_run.run_id: record for record in instance.get_run_records()}
        assert len(records) == len(CITIES) + 1
        first = records.pop(lost.run_id)
        assert first.dagster_run.status == dg.DagsterRunStatus.FAILURE
        [again] = [record for record in records.values() if record.dagster_run.parent_run_id == lost.run_id]
        assert again.start_time > first.end_time
    assert set(kubernetes.jobs) == {f"dagster-run-{run_id}" for run_id in (lost.run_id, *records)}
    for job in kubernetes.jobs.values():
        pod = job["spec"]["template"]["spec"]
        [container] = pod["containers"]
        assert container["image"] == "registry.example.org/shotspotter:1"
        assert container["resources"]["requests"] == {"cpu": "2", "memory": "8Gi"}
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["automountServiceAccountToken"]
    made = objects(s3_server, s3_store_root)
    assert made == on_one_machine(tmp_path / "alone")
    assert len(made) >= 3 * len(CITIES) * DAYS
