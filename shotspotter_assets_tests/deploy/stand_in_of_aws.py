"""A stand-in of AWS: moto's server with the stack of `deploy/aws`, and an agent that runs the tasks of its ECS as processes."""

import contextlib
import json
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import requests
from moto.cloudformation import parsing
from moto.core.common_models import CloudFormationModel
from moto.ecs import ecs_backends
from moto.ecs.models import EC2ContainerServiceBackend
from moto.moto_api import state_manager
from moto.rds.models import DBParameterGroup
from moto.secretsmanager import secretsmanager_backends
from moto.server import ThreadedMotoServer

from shotspotter_assets.settings import CHECKOUT

FOLDER = CHECKOUT / "deploy" / "aws"
logging.getLogger("werkzeug").setLevel(logging.ERROR)

REGION, ACCOUNT = "us-east-1", "123456789012"


class _Resource(CloudFormationModel):
    """What moto's CloudFormation lacks; without it, what refers to it cannot be made."""

    kind = ""

    def __init__(self, name: str) -> None:
        self.physical_resource_id = name

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @classmethod
    def cloudformation_type(cls) -> str:
        return cls.kind

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr == "Arn"

    def get_cfn_attribute(self, _attribute: str) -> str:
        return f"arn:of:{self.physical_resource_id}"

    @classmethod
    def create_from_cloudformation_json(cls, name: str, *_arguments: Any, **_named: Any) -> "_Resource":
        return cls(name)

    @classmethod
    def update_from_cloudformation_json(cls, original: "_Resource", *_arguments: Any, **_named: Any) -> "_Resource":
        return original

    @classmethod
    def delete_from_cloudformation_json(cls, *_arguments: Any, **_named: Any) -> None:
        """Nothing is left of it."""


class _Secret(_Resource):
    """A generated secret, in moto's Secrets Manager."""

    @classmethod
    def create_from_cloudformation_json(
        cls, name: str, cloudformation_json: Any, account_id: str, region_name: str, **_named: Any
    ) -> "_Secret":
        how = cloudformation_json["Properties"]["GenerateSecretString"]
        content = {**json.loads(how["SecretStringTemplate"]), how["GenerateStringKey"]: os.urandom(20).hex()}
        made = secretsmanager_backends[account_id][region_name].create_secret(
            name, json.dumps(content), None, None, None, None, None, [], False
        )
        return cls(json.loads(made)["ARN"] if isinstance(made, str) else made["ARN"])


def _complete_moto() -> None:
    DBParameterGroup.physical_resource_id = property(lambda group: group.name)  # or it is given to what refers to it
    # A container on Fargate may have no memory of its own.
    EC2ContainerServiceBackend._calculate_task_resource_requirements = staticmethod(lambda _task: {})  # type: ignore[method-assign]
    lacking = {
        "AWS::S3::BucketPolicy": _Resource, "AWS::ServiceDiscovery::PrivateDnsNamespace": _Resource,
        "AWS::ServiceDiscovery::Service": _Resource, "AWS::SecretsManager::Secret": _Secret,
    }  # fmt: skip
    for kind, base in lacking.items():
        parsing.get_model_map()[kind] = type(base.__name__, (base,), {"kind": kind})


@dataclass
class StandIn:
    """The running server, with the stack in it."""

    endpoint: str
    outputs: Mapping[str, str] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )

    def environment(self, *services: str) -> dict[str, str]:
        """What lets a process find these services here."""
        return {f"AWS_ENDPOINT_URL_{service.upper()}": self.endpoint for service in services}

    def task_definition(self, name: str) -> Any:
        """The container of a task definition of the stack, by the last part of its name."""
        return self.client("ecs").describe_task_definition(taskDefinition=f"shotspotter-{name}")["taskDefinition"]

    def secret(self, reference: str) -> str:
        """The text that ECS gives a container for an ARN, or for a key of the JSON behind it (`ARN:key::`)."""
        parts = reference.split(":")
        content = self.client("secretsmanager").get_secret_value(SecretId=":".join(parts[:7]))["SecretString"]
        return json.loads(content)[parts[7]] if len(parts) > 7 else content

    def container_environment(self, name: str) -> dict[str, str]:
        """Environment of a task's container, with what its secrets hold."""
        container = self.task_definition(name)["containerDefinitions"][0]
        plain, secret = (
            list(filter(None, container[kind])) for kind in ("environment", "secrets")
        )  # moto keeps a NoValue
        return {
            **{item["name"]: str(item["value"]) for item in plain},
            **{item["name"]: self.secret(item["valueFrom"]) for item in secret},
        }


@contextlib.contextmanager
def stand_in(**parameters: str) -> Iterator[StandIn]:
    """The server on a free loopback port until the block ends; the stack has these parameters."""
    _complete_moto()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        # A task stays as it is until the agent says otherwise; by default, each look at it takes it nearer to its end.
        state_manager.set_transition("ecs::task", {"progression": "manual", "times": 10**9})
        aws = StandIn(f"http://{host}:{port}")
        if "HostName" in parameters:
            asked = aws.client("acm").request_certificate(DomainName=parameters["HostName"])
            parameters["CertificateArn"] = asked["CertificateArn"]
        aws.client("cloudformation").create_stack(
            StackName="shotspotter", TemplateBody=(FOLDER / "template.yaml").read_text(), Capabilities=["CAPABILITY_IAM"],
            Parameters=[
                {"ParameterKey": name, "ParameterValue": value} for name, value in {"ImageTag": "1", **parameters}.items()
            ],
        )  # fmt: skip
        [stack] = aws.client("cloudformation").describe_stacks(StackName="shotspotter")["Stacks"]
        aws.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        yield aws
        requests.post(f"{aws.endpoint}/moto-api/reset", timeout=30).raise_for_status()
    finally:
        server.stop()


class Agent:
    """Runs each task of the ECS as a process, and tells the ECS what becomes of it, as Fargate does."""

    def __init__(self, aws: StandIn, folder: Path, environment: Mapping[str, str]) -> None:
        self.aws, self.folder, self.environment = aws, folder, dict(environment)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.overrides: list[Mapping[str, Any]] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> "Agent":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        self._thread.join()
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _work(self) -> None:
        while not self._stopped.wait(0.2):
            for tasks in list(ecs_backends[ACCOUNT][REGION].tasks.values()):
                for arn, task in list(tasks.items()):
                    self._attend(arn, task)

    def _attend(self, arn: str, task: Any) -> None:
        process = self.processes.get(arn)
        if process is None:
            if task.desired_status == "RUNNING":
                self.processes[arn] = self._start(arn, task)
            return
        ended = process.poll()
        if ended is None and task.desired_status == "STOPPED" and not getattr(task, "told", False):
            task.told = True  # moto has it stopped at once; Fargate sends the signal and waits for StopTimeout
            task.last_status = "DEACTIVATING"
            os.kill(process.pid, signal.SIGTERM)
        elif ended is not None and not getattr(task, "ended", False):
            task.ended = True
            task.containers[0].exitCode = ended if ended >= 0 else 128 - ended
            task.stopped_reason = task.stopped_reason or "Essential container in task exited"
            task.last_status = task.desired_status = "STOPPED"

    def _start(self, arn: str, task: Any) -> "subprocess.Popen[bytes]":
        [container] = task.overrides["containerOverrides"]
        self.overrides.append(task.overrides)
        name = arn.rpartition("/")[2]
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                container["command"], cwd=self.folder, stdout=log, stderr=log, start_new_session=True,
                env=self.aws.container_environment(container["name"]) | self.environment,
            )  # fmt: skip
