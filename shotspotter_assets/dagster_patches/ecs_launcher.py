"""Launches runs as tasks on AWS Fargate, larger ones for runs that train; named in the `dagster.yaml` of AWS.

Stock, a task has the network of the process that launches it, which that has to ask of EC2, and all runs without tags of their
own have the same size.
"""

from collections.abc import Mapping
from typing import Any

from dagster import DagsterRun, Field, IntSource, StringSource
from dagster._serdes import ConfigurableClassData
from dagster_aws.ecs.container_context import EcsContainerContext
from dagster_aws.ecs.launcher import EcsRunLauncher

from shotspotter_assets.dagster_patches.guard import known
from shotspotter_assets.dagster_patches.training_runs import trains

known(
    "dagster_aws.ecs.launcher:EcsRunLauncher.get_cpu_and_memory_overrides",
    parameters="self, container_context, run",
    sources=("5e5acd1570e2",),
    purpose="runs that train have larger tasks",
)


class FargateRunLauncher(EcsRunLauncher):
    """Stock, but for the network, which is given, and for the size of the tasks that train.

    Args:
        subnets: separated by commas.
        security_group: of the tasks.
        capacity_provider: FARGATE or FARGATE_SPOT.
        training_cpu: units of 1/1024 processor; a run's tag `ecs/cpu` wins.
        training_memory: MiB; a run's tag `ecs/memory` wins.
    """

    def __init__(
        self,
        inst_data: ConfigurableClassData | None = None,
        *,
        subnets: str,
        security_group: str,
        capacity_provider: str,
        training_cpu: int,
        training_memory: int,
        run_task_kwargs: Mapping[str, Any] | None = None,
        **stock: Any,
    ) -> None:
        network = {"subnets": subnets.split(","), "securityGroups": [security_group], "assignPublicIp": "ENABLED"}
        task = {
            "networkConfiguration": {"awsvpcConfiguration": network},
            "capacityProviderStrategy": [{"capacityProvider": capacity_provider, "weight": 1}],
        }
        super().__init__(inst_data, run_task_kwargs={**task, **(run_task_kwargs or {})}, **stock)
        self._training = {"cpu": str(training_cpu), "memory": str(training_memory)}

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """What `dagster.yaml` may hold beside the stock settings."""
        texts = {name: Field(StringSource) for name in ("subnets", "security_group", "capacity_provider")}
        numbers = {name: Field(IntSource) for name in ("training_cpu", "training_memory")}
        return {**super().config_type(), **texts, **numbers}

    def get_cpu_and_memory_overrides(
        self, container_context: EcsContainerContext, run: DagsterRun
    ) -> Mapping[str, str]:
        """Size of a run's task, where it is not that of the task definition."""
        return {
            **(self._training if trains(run) else {}),
            **super().get_cpu_and_memory_overrides(container_context, run),
        }
