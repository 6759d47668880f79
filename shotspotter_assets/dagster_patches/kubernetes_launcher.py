"""Launches runs as Kubernetes jobs, larger ones for runs that train; named in the values of `deploy/kubernetes`.

It needs the extra `kubernetes`. Stock, all runs without tags of their own ask for the same.
"""

from collections.abc import Mapping
from typing import Any

from dagster import DagsterRun, Field
from dagster._serdes import ConfigurableClassData
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import get_user_defined_k8s_config
from dagster_k8s.launcher import K8sRunLauncher

from shotspotter_assets.dagster_patches.guard import known
from shotspotter_assets.dagster_patches.training_runs import trains

known(
    "dagster_k8s.launcher:K8sRunLauncher.get_container_context_for_run",
    parameters="self, dagster_run",
    sources=("d128a5ac5707",),
    purpose="runs that train have larger pods",
)


class SizedK8sRunLauncher(K8sRunLauncher):
    """Stock, but for what the pods that train ask for.

    Args:
        training_resources: `requests` and `limits` of pods that train, in place of the same keys of `resources`; a run's tag
            `dagster-k8s/config` wins.
    """

    def __init__(
        self, *, training_resources: Mapping[str, Any], inst_data: ConfigurableClassData | None = None, **stock: Any
    ) -> None:
        super().__init__(inst_data=inst_data, **stock)
        self._training = K8sContainerContext(resources=training_resources)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """What `dagster.yaml` may hold beside the stock settings."""
        sizes = {kind: Field(dict, is_required=False) for kind in ("requests", "limits")}
        return {**super().config_type(), "training_resources": Field(sizes)}

    def get_container_context_for_run(self, dagster_run: DagsterRun) -> K8sContainerContext:
        """All that is configured for a run's pod."""
        context = super().get_container_context_for_run(dagster_run)
        if not trains(dagster_run):
            return context
        own = K8sContainerContext(run_k8s_config=get_user_defined_k8s_config(dagster_run.tags))
        return context.merge(self._training).merge(own)
