"""The stack of `deploy/aws` is sound, opens no other port than the README says, and lets each process do what it needs alone."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from cfnlint.decode import decode
from dagster._config import process_config
from dagster_aws.ecs import EcsRunLauncher
from dagster_aws.ecs.container_context import EcsContainerContext

from shotspotter_assets_tests.deploy.moto_aws import FOLDER, REGION, MotoAws, moto_aws

TEMPLATE = FOLDER / "template.yaml"
SIGN_ON = {
    "HostName": "ui.example.org",
    "AllowedNetwork": "192.0.2.0/24", "OidcIssuer": "https://id.example.org", "OidcClientId": "people",
    "OidcAuthorizationEndpoint": "https://id.example.org/authorize", "OidcTokenEndpoint": "https://id.example.org/token",
    "OidcUserInfoEndpoint": "https://id.example.org/userinfo", "OidcSecretArn": "arn:of:a:secret",
    "AnalystHostName": "look.example.org", "AnalystClientId": "analysts",
}  # fmt: skip
WITHOUT_A_RESOURCE_LEVEL = {
    "ec2:DescribeNetworkInterfaces", "ecr:GetAuthorizationToken", "ecs:DescribeTaskDefinition", "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
}  # fmt: skip


@pytest.fixture(scope="module")
def resources() -> Mapping[str, Any]:
    template, problems = decode(str(TEMPLATE))
    assert not problems
    return template["Resources"]


@pytest.fixture(scope="module")
def some_keys() -> Iterator[None]:
    """For moto's own calls."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        yield


@pytest.fixture(scope="module")
def aws(request: pytest.FixtureRequest, some_keys: None) -> Iterator[MotoAws]:
    """The stack, without a sign-on unless a test gives its parameters."""
    with moto_aws(**getattr(request, "param", {})) as made:
        yield made


def test_the_template_is_sound() -> None:
    lint = Path(sys.executable).parent / "cfn-lint"
    checked = subprocess.run([lint, TEMPLATE], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")


def inbound(aws: MotoAws) -> dict[str, list[tuple[int, int, list[str]]]]:
    """Ports of each security group with those that may connect, by the names in the template."""
    groups = aws.client("ec2").describe_security_groups()["SecurityGroups"]
    name_of = {group["GroupId"]: group["GroupName"].split("-")[1] for group in groups if "-" in group["GroupName"]}
    return {
        name_of[group["GroupId"]]: [
            (
                rule["FromPort"],
                rule["ToPort"],
                [name_of[pair["GroupId"]] for pair in rule["UserIdGroupPairs"]]
                + [net["CidrIp"] for net in rule["IpRanges"]],
            )
            for rule in group["IpPermissions"]
        ]
        for group in groups
        if group["GroupId"] in name_of
    }


def test_without_a_sign_on_nothing_is_open_to_the_outside(aws: MotoAws) -> None:
    assert inbound(aws) == {
        "TaskSecurityGroup": [],
        "CodeSecurityGroup": [(4000, 4000, ["TaskSecurityGroup"])],
        "DatabaseSecurityGroup": [(5432, 5432, ["TaskSecurityGroup"])],
    }
    assert aws.client("elbv2").describe_load_balancers()["LoadBalancers"] == []
    [database] = aws.client("rds").describe_db_instances()["DBInstances"]
    assert not database["PubliclyAccessible"]


def test_the_database_s_subnets_have_no_way_out(resources: Mapping[str, Any]) -> None:
    table_of, with_a_way_out = {}, set()
    for resource in resources.values():
        if resource["Type"] == "AWS::EC2::SubnetRouteTableAssociation":
            table_of[resource["Properties"]["SubnetId"]["Ref"]] = resource["Properties"]["RouteTableId"]["Ref"]
        if resource["Type"] == "AWS::EC2::Route":
            with_a_way_out.add(resource["Properties"]["RouteTableId"]["Ref"])
    closed = {subnet["Ref"] for subnet in resources["DatabaseSubnets"]["Properties"]["SubnetIds"]}
    assert {subnet for subnet, table in table_of.items() if table not in with_a_way_out} == closed
    assert set(table_of) - closed == {"TaskSubnetA", "TaskSubnetB"}


def statements(aws: MotoAws) -> dict[str, list[dict[str, Any]]]:
    """What each role may do."""
    iam, found = aws.client("iam"), {}
    for role in iam.list_roles()["Roles"]:
        name = role["RoleName"]
        policy = iam.get_role_policy(RoleName=name, PolicyName="own")["PolicyDocument"]
        document = ast.literal_eval(policy) if isinstance(policy, str) else policy  # moto's is the text of a dictionary
        found[name.split("-")[1]] = [statement for statement in document["Statement"] if statement]
    return found


def actions(statement: Mapping[str, Any]) -> set[str]:
    given = statement["Action"]
    return {given} if isinstance(given, str) else set(given)


def test_policies_name_what_they_are_for(aws: MotoAws) -> None:
    roles = statements(aws)
    assert set(roles) == {"ExecutionRole", "RunRole", "DaemonRole", "WebRole"}
    for role, allowed in roles.items():
        for statement in allowed:
            assert "*" not in "".join(actions(statement)), role
            if statement["Resource"] == "*":
                assert actions(statement) <= WITHOUT_A_RESOURCE_LEVEL, role


def on_objects(allowed: list[dict[str, Any]], bucket: str) -> dict[str, set[str]]:
    """What a role may do with the objects of the bucket, by prefix."""
    start = f"arn:aws:s3:::{bucket}/"
    return {
        statement["Resource"].removeprefix(start): {action.removeprefix("s3:") for action in actions(statement)}
        for statement in allowed
        if str(statement["Resource"]).startswith(start)
    }


def test_runs_write_store_and_logs_and_people_s_processes_read_logs_alone(aws: MotoAws) -> None:
    roles, bucket = statements(aws), aws.outputs["BucketName"]
    write = {"GetObject", "PutObject", "AbortMultipartUpload"}
    assert on_objects(roles["RunRole"], bucket) == {
        "store/*": write | {"DeleteObject"}, "landing/*": {"GetObject"}, "compute_logs/*": write,
    }  # fmt: skip
    assert on_objects(roles["DaemonRole"], bucket) == {"compute_logs/*": write}
    assert on_objects(roles["WebRole"], bucket) == {"compute_logs/*": {"GetObject"}}
    assert on_objects(roles["ExecutionRole"], bucket) == {}


def test_the_daemon_alone_starts_tasks_and_no_others_than_runs(aws: MotoAws) -> None:
    roles = statements(aws)
    starts = {role: [one for one in allowed if "ecs:RunTask" in actions(one)] for role, allowed in roles.items()}
    [statement] = starts.pop("DaemonRole")
    assert statement["Resource"].endswith(":task-definition/shotspotter-run:*")
    assert statement["Condition"]["ArnEquals"]["ecs:cluster"].endswith(aws.outputs["ClusterName"])
    assert not any(starts.values())
    passed = {role: [one for one in allowed if "iam:PassRole" in actions(one)] for role, allowed in roles.items()}
    assert [role for role, found in passed.items() if found] == ["DaemonRole"]
    assert [arn.split("-")[1] for arn in passed["DaemonRole"][0]["Resource"]] == ["RunRole", "ExecutionRole"]


def test_tasks_have_the_roles_of_their_processes_and_the_image_s_user(resources: Mapping[str, Any]) -> None:
    roles = {
        name: resource["Properties"]["TaskRoleArn"]["Fn::GetAtt"]
        for name, resource in resources.items()
        if resource["Type"] == "AWS::ECS::TaskDefinition"
    }
    assert {name: role[0] if isinstance(role, list) else role.split(".")[0] for name, role in roles.items()} == {
        "RunTask": "RunRole", "CodeTask": "RunRole", "DaemonTask": "DaemonRole", "WebTask": "WebRole",
        "AnalystTask": "AnalystRole",
    }  # fmt: skip
    for name in roles:
        [container] = resources[name]["Properties"]["ContainerDefinitions"]
        assert not container.keys() & {"User", "Privileged"}
        assert ("HealthCheck" in container) == (name != "RunTask"), "the daemon looks after runs"


def variables(node: Any) -> Iterator[str]:
    """Names of the environment variables that a YAML file reads."""
    if isinstance(node, dict):
        if set(node) == {"env"}:
            yield node["env"]
        else:
            for value in node.values():
                yield from variables(value)
    elif isinstance(node, list):
        for value in node:
            yield from variables(value)


@pytest.mark.parametrize("task", ["daemon", "web", "code", "run"])
def test_each_process_has_the_variables_that_its_files_read(aws: MotoAws, task: str) -> None:
    instance = yaml.safe_load((FOLDER / "dagster.yaml").read_text())
    given = aws.container_environment(task)
    if task in ("daemon", "web"):
        workspace = yaml.safe_load((FOLDER / "workspace.yaml").read_text())
        needed = {*variables(instance), *variables(workspace)}
        assert re.fullmatch(r"code\.shotspotter\.internal", given["DAGSTER_CODE_HOST"])
    else:
        del instance["run_launcher"]
        needed = {*variables(instance), "SHOTSPOTTER_STORE", "SHOTSPOTTER_LANDING"}
    assert needed <= set(given)
    assert given["PGSSLMODE"] == "require"
    plain = json.dumps(aws.task_definition(task)["containerDefinitions"][0]["environment"])
    assert given["DAGSTER_DATABASE_PASSWORD"] not in plain


def test_runs_have_the_size_of_their_task_definition_or_of_their_tags(
    aws: MotoAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = aws.container_environment("daemon")
    for name, value in {"AWS_ENDPOINT_URL": aws.endpoint, "AWS_DEFAULT_REGION": REGION, **given}.items():
        monkeypatch.setenv(name, value)
    config = yaml.safe_load((FOLDER / "dagster.yaml").read_text())["run_launcher"]["config"]
    checked = process_config(EcsRunLauncher.config_type(), config)
    assert checked.success, checked.errors
    launcher = EcsRunLauncher.from_config_value(None, checked.value)
    for tags, size in (({}, {}), ({"ecs/cpu": "8192"}, {"cpu": "8192"})):
        run = dg.DagsterRun("job", tags=tags)
        context = EcsContainerContext.create_for_run(run, launcher)
        assert launcher.get_cpu_and_memory_overrides(context, run) == size


def test_what_is_kept_outlives_the_stack_and_is_closed(aws: MotoAws, resources: Mapping[str, Any]) -> None:
    kept = {name for name, resource in resources.items() if resource.get("DeletionPolicy") in ("Retain", "Snapshot")}
    assert kept == {"Bucket", "DatabaseSecret", "Database"}
    bucket = resources["Bucket"]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    [refused] = resources["BucketRules"]["Properties"]["PolicyDocument"]["Statement"]
    assert (refused["Effect"], refused["Principal"], refused["Action"]) == ("Deny", "*", "s3:*")
    assert refused["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    s3, name = aws.client("s3"), aws.outputs["BucketName"]
    rules = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    [database] = aws.client("rds").describe_db_instances()["DBInstances"]
    assert database["StorageEncrypted"]
    assert resources["Database"]["Properties"]["DeletionProtection"]
    assert database["BackupRetentionPeriod"] == 14
    settings = aws.client("rds").describe_db_parameters(
        DBParameterGroupName=database["DBParameterGroups"][0]["DBParameterGroupName"]
    )
    assert [(one["ParameterName"], one["ParameterValue"]) for one in settings["Parameters"]] == [("rds.force_ssl", "1")]


def test_there_are_never_two_daemons_nor_two_code_servers(resources: Mapping[str, Any]) -> None:
    for name in ("DaemonService", "CodeService"):
        service = resources[name]["Properties"]
        deployment = service["DeploymentConfiguration"]
        assert (service["DesiredCount"], deployment["MaximumPercent"], deployment["MinimumHealthyPercent"]) == (
            1,
            100,
            0,
        )


@pytest.mark.parametrize("aws", [SIGN_ON], indirect=True)
def test_with_a_sign_on_its_port_alone_is_open(aws: MotoAws, resources: Mapping[str, Any]) -> None:
    assert inbound(aws) == {
        "TaskSecurityGroup": [],
        "CodeSecurityGroup": [(4000, 4000, ["TaskSecurityGroup"])],
        "DatabaseSecurityGroup": [(5432, 5432, ["TaskSecurityGroup"])],
        "BalancerSecurityGroup": [(443, 443, ["192.0.2.0/24"])],
        "WebSecurityGroup": [(3000, 3000, ["BalancerSecurityGroup"])],
    }
    channels = [one for one in statements(aws)["WebRole"] if any("ssmmessages" in action for action in actions(one))]
    assert channels == [], "without port forwarding, the web server can open no channel"
    analysts = [action for one in statements(aws)["AnalystRole"] for action in actions(one)]
    assert sorted(analysts) == ["ecs:DescribeTaskDefinition", "s3:GetObject", "s3:ListBucket"]
    elb = aws.client("elbv2")
    [balancer] = elb.describe_load_balancers()["LoadBalancers"]
    [listener] = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    rules = elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
    assert (listener["Port"], listener["Protocol"]) == (443, "HTTPS")
    clients = [[action.get("AuthenticateOidcConfig", {}).get("ClientId") for action in one["Actions"]] for one in rules]
    assert sorted(clients) == [["analysts", None], ["people", None]], "nobody is let through before the sign-on"
    command = resources["AnalystTask"]["Properties"]["ContainerDefinitions"][0]["Command"]
    assert command[:2] == ["dagster-webserver", "--read-only"]
