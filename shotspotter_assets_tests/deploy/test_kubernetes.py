from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
import pytest
import yaml
from dagster._config import process_config

from shotspotter_assets.settings import CHECKOUT

if TYPE_CHECKING:
    from dagster_k8s import K8sRunLauncher  # loads the client of Kubernetes, which other workers need not

VALUES: Final[dict[str, Any]] = yaml.safe_load((CHECKOUT / "deploy" / "kubernetes" / "values.yaml").read_text())
OWN_MACHINES: Final = CHECKOUT / "deploy" / "own_machines"
LAUNCHER: Final = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
KUBECONFIG: Final = {
    "apiVersion": "v1", "kind": "Config", "current-context": "test", "users": [{"name": "test", "user": {}}],
    "clusters": [{"name": "test", "cluster": {"server": "http://127.0.0.1:9"}}],
    "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
}  # fmt: skip


def launcher_config(kubeconfig: Path) -> dict[str, Any]:
    """Build the launcher's part of the `dagster.yaml` that the chart's templates (1.13) write."""
    pods = LAUNCHER["runK8sConfig"]
    return {
        "load_incluster_config": False, "kubeconfig_file": str(kubeconfig), "job_namespace": "shotspotter",
        "dagster_home": VALUES["global"]["dagsterHome"], "instance_config_map": "dagster-instance",
        "postgres_password_secret": VALUES["global"]["postgresqlSecretName"], "service_account_name": "default",
        "image_pull_policy": LAUNCHER["imagePullPolicy"],
        "env_secrets": [secret["name"] for secret in LAUNCHER["envSecrets"]],
        "volumes": LAUNCHER["volumes"], "volume_mounts": LAUNCHER["volumeMounts"], "resources": LAUNCHER["resources"],
        "security_context": LAUNCHER["securityContext"],
        "run_k8s_config": {"pod_spec_config": pods["podSpecConfig"], "job_spec_config": pods["jobSpecConfig"]},
    }  # fmt: skip


@pytest.fixture
def launcher(tmp_path: Path) -> "K8sRunLauncher":
    from dagster_k8s import K8sRunLauncher

    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(KUBECONFIG))
    checked = process_config(K8sRunLauncher.config_type(), launcher_config(tmp_path / "kubeconfig"))
    assert checked.success, checked.errors
    return K8sRunLauncher.from_config_value(None, checked.value)


@pytest.mark.parametrize(
    ("tags", "cpu"),
    [({}, "4"), ({"dagster-k8s/config": '{"container_config": {"resources": {"requests": {"cpu": "8"}}}}'}, "8")],
)
def test_tags_of_a_run_set_the_size_of_its_pod(launcher: "K8sRunLauncher", tags: dict[str, str], cpu: str) -> None:
    context = launcher.get_container_context_for_run(dg.DagsterRun("job", tags=tags))
    assert context.run_k8s_config.container_config["resources"]["requests"]["cpu"] == cpu


def test_all_but_the_queue_and_the_timeouts_is_as_on_own_machines() -> None:
    here = VALUES["additionalInstanceConfig"]
    there = yaml.safe_load((OWN_MACHINES / "dagster.yaml").read_text())
    assert here["run_coordinator"]["config"] == there["run_queue"]
    for key in ("module", "class"):
        assert here["event_log_storage"][key] == there["event_log_storage"][key]
    same = ("nux", "python_logs", "concurrency", "run_retries", "retention")
    assert {name: here[name] for name in same} == {name: there[name] for name in same}
    assert VALUES["telemetry"] == there["telemetry"]
    differ = {name for name, value in here["run_monitoring"].items() if there["run_monitoring"].get(name) != value}
    assert differ == {"start_timeout_seconds", "max_resume_run_attempts"}


def test_containers_write_only_to_tmp_and_are_not_root() -> None:
    [code] = VALUES["dagster-user-deployments"]["deployments"]
    run = {**LAUNCHER, "podSecurityContext": LAUNCHER["runK8sConfig"]["podSpecConfig"]["security_context"]}
    for pod in (VALUES["dagsterWebserver"], VALUES["dagsterDaemon"], code, run):
        assert pod["securityContext"]["readOnlyRootFilesystem"]
        assert pod["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert (pod["podSecurityContext"]["runAsNonRoot"], pod["podSecurityContext"]["runAsUser"]) == (True, 10001)
        assert [volume["emptyDir"] for volume in pod["volumes"]] == [{}]
        assert [mount["mountPath"] for mount in pod["volumeMounts"]] == ["/tmp"]
    assert "--uid 10001" in (OWN_MACHINES / "Dockerfile").read_text()
