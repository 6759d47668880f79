"""moto's server with the stack of `deploy/aws`."""

import contextlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
import requests
from moto.cloudformation import parsing
from moto.core.common_models import CloudFormationModel
from moto.ecs.models import EC2ContainerServiceBackend
from moto.rds.models import DBParameterGroup
from moto.secretsmanager import secretsmanager_backends
from moto.server import ThreadedMotoServer

from shotspotter_assets.settings import CHECKOUT

FOLDER = CHECKOUT / "deploy" / "aws"
logging.getLogger("werkzeug").setLevel(logging.ERROR)

REGION = "us-east-1"


class _Resource(CloudFormationModel):
    """A resource that moto's CloudFormation lacks and that others refer to."""

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
        """Delete nothing."""


class _Secret(_Resource):
    """A generated secret in moto's Secrets Manager."""

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
class MotoAws:
    """The running server with the stack."""

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

    def task_definition(self, name: str) -> Any:
        """Return the task definition whose name ends so."""
        return self.client("ecs").describe_task_definition(taskDefinition=f"shotspotter-{name}")["taskDefinition"]

    def secret(self, reference: str) -> str:
        """Return the text of a secret, or of a key of its JSON (`ARN:key::`), as ECS gives it to a container."""
        parts = reference.split(":")
        content = self.client("secretsmanager").get_secret_value(SecretId=":".join(parts[:7]))["SecretString"]
        return json.loads(content)[parts[7]] if len(parts) > 7 else content

    def container_environment(self, name: str) -> dict[str, str]:
        """Return the environment of a task's container, secrets included."""
        container = self.task_definition(name)["containerDefinitions"][0]
        plain, secret = (
            list(filter(None, container[kind])) for kind in ("environment", "secrets")
        )  # moto keeps a NoValue
        return {
            **{item["name"]: str(item["value"]) for item in plain},
            **{item["name"]: self.secret(item["valueFrom"]) for item in secret},
        }


@contextlib.contextmanager
def moto_aws(**parameters: str) -> Iterator[MotoAws]:
    """Run the server on a free port and create the stack with these parameters."""
    _complete_moto()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        aws = MotoAws(f"http://{host}:{port}")
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
