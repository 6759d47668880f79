import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from dagster._config import process_config

from shotspotter_assets.models.tuning import sagemaker_tuning_job as tuning_job
from shotspotter_assets.models.tuning.sagemaker_tuning_job import TASK_FILE
from shotspotter_assets.models.tuning.search import TUNED_SETTINGS
from shotspotter_assets.settings import CHECKOUT

FOLDER = CHECKOUT / "deploy" / "aws"
TEMPLATE = FOLDER / "template.yaml"
INSTANCE = yaml.safe_load((FOLDER / "dagster.yaml").read_text())


class Template(yaml.SafeLoader):
    """Reads short forms such as `!Ref Name` as CloudFormation does; cfn-lint's own reader takes 70 MB."""

    def short_form(self, name: str, node: yaml.Node) -> dict[str, Any]:
        key = name if name == "Ref" else f"Fn::{name}"
        if isinstance(node, yaml.SequenceNode):
            return {key: self.construct_sequence(node, deep=True)}
        text = str(self.construct_scalar(node))
        return {key: text.split(".", 1) if name == "GetAtt" else text}


Template.add_multi_constructor("!", Template.short_form)


@cache
def resources() -> dict[str, Any]:
    return yaml.load(TEMPLATE.read_text(), Template)["Resources"]


@cache
def containers() -> dict[str, Any]:
    return {
        container["Name"]: container
        for task in ("RunTask", "ServiceTask")
        for container in resources()[task]["Properties"]["ContainerDefinitions"]
    }


@pytest.mark.slow
def test_the_template_is_sound() -> None:
    lint = Path(sys.executable).parent / "cfn-lint"
    checked = subprocess.run([lint, TEMPLATE], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")


def test_tasks_alone_reach_the_database_and_nothing_reaches_tasks() -> None:
    assert "SecurityGroupIngress" not in resources()["TaskSecurityGroup"]["Properties"]
    [rule] = resources()["DatabaseSecurityGroup"]["Properties"]["SecurityGroupIngress"]
    assert (rule["FromPort"], rule["SourceSecurityGroupId"]) == (5432, {"Ref": "TaskSecurityGroup"})
    assert resources()["Database"]["Properties"]["PubliclyAccessible"] is False
    for name in ("code", "web"):
        assert "--host" not in containers()[name]["Command"], "listens on the loopback address"


def statements(role: str) -> list[Any]:
    properties = resources()[role]["Properties"]
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    managed = [resources()[policy["Ref"]] for policy in properties["ManagedPolicyArns"] if "Ref" in policy]
    documents += [policy["Properties"]["PolicyDocument"] for policy in managed]
    return [statement for document in documents for statement in document["Statement"]]


def actions(statement: Any) -> set[str]:
    return {statement["Action"]} if isinstance(statement["Action"], str) else set(statement["Action"])


@pytest.mark.parametrize("role", ["ExecutionRole", "RunRole", "ServiceRole"])
def test_policies_name_actions_and_resources(role: str) -> None:
    without_a_resource_level = {"ec2:DescribeNetworkInterfaces", "ecs:DescribeTaskDefinition"}
    for statement in statements(role):
        assert "*" not in "".join(actions(statement))
        if statement["Resource"] == "*":
            named = {action for action in actions(statement) if not action.startswith("ssmmessages:")}
            assert named <= without_a_resource_level


def test_services_alone_start_tasks_and_only_runs() -> None:
    allowed = {role: set().union(*map(actions, statements(role))) for role in ("ExecutionRole", "RunRole")}
    assert not any("ecs:RunTask" in found or "iam:PassRole" in found for found in allowed.values())
    [start] = [statement for statement in statements("ServiceRole") if "ecs:RunTask" in actions(statement)]
    assert start["Resource"]["Fn::Sub"].endswith(":task-definition/${AWS::StackName}-run:*")


def variables(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from [node["env"]] if set(node) == {"env"} else (one for at in node.values() for one in variables(at))


@pytest.mark.parametrize("name", ["run", "code", "daemon", "web"])
def test_each_container_has_the_variables_that_it_reads(name: str) -> None:
    needed = {*variables(INSTANCE), "DAGSTER_HOME"}
    if name in ("run", "code"):
        needed = needed - {*variables(INSTANCE["run_launcher"])} | {"SHOTSPOTTER_STORE", "SHOTSPOTTER_LANDING"}
    container = containers()[name]
    given = {item["Name"]: item for item in container["Environment"] + container["Secrets"] if "Name" in item}
    assert needed == set(given)
    assert "ValueFrom" in given["DAGSTER_DATABASE_PASSWORD"], "a secret, not a text of the task definition"


def test_the_launcher_has_a_valid_configuration() -> None:
    from dagster_aws.ecs import EcsRunLauncher

    checked = process_config(EcsRunLauncher.config_type(), INSTANCE["run_launcher"]["config"])
    assert checked.success, checked.errors


def test_data_outlive_the_stack_and_are_closed() -> None:
    kept = {name for name, resource in resources().items() if resource.get("DeletionPolicy") in ("Retain", "Snapshot")}
    assert kept == {"Bucket", "DatabaseSecret", "Database"}
    bucket = resources()["Bucket"]["Properties"]
    database = resources()["Database"]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert database["StorageEncrypted"]
    assert database["DeletionProtection"]


def test_there_are_never_two_daemons() -> None:
    service = resources()["Services"]["Properties"]
    assert (service["DesiredCount"], service["DeploymentConfiguration"]["MaximumPercent"]) == (1, 100)


def tuning_statements(name: str) -> list[Any]:
    return json.loads((CHECKOUT / "deploy" / "aws" / "tuning" / name).read_text())["Statement"]


def test_runs_may_make_their_requests_and_nothing_else() -> None:
    source = Path(tuning_job.__file__).read_text()
    methods = set(re.findall(r"\bsagemaker\.(?:get_paginator\(\"(\w+)|(\w+)\()", source))
    known = boto3.client("sagemaker", region_name="us-east-1").meta.method_to_api_mapping
    needed = {f"sagemaker:{known[name]}" for pair in methods for name in pair if name in known}
    allowed = {action for statement in tuning_statements("run_policy.json") for action in actions(statement)}
    # A tuning job is created with tags.
    assert allowed == needed | {"iam:PassRole", "sagemaker:AddTags"}
    for statement in tuning_statements("run_policy.json"):
        if "sagemaker:CreateHyperParameterTuningJob" in actions(statement):
            assert statement["Resource"].endswith(f":hyper-parameter-tuning-job/{tuning_job.NAME_START}*")


def test_training_jobs_read_their_task_and_write_beside_it_alone() -> None:
    on_objects = [one for one in tuning_statements("training_policy.json") if "s3:GetObject" in actions(one)]
    folder = f"arn:aws:s3:::BUCKET/store/{TUNED_SETTINGS.asset}/"
    assert [one["Resource"] for one in on_objects] == [f"{folder}*.{TASK_FILE}", f"{folder}*.sagemaker/*"]
    everything = [one["Sid"] for one in tuning_statements("training_policy.json") if one["Resource"] == "*"]
    assert everything == ["TokenHasNoResource", "Metrics"]
