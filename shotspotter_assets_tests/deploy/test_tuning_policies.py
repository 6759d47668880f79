"""The policies of searches on SageMaker allow what the code asks for, and nothing else."""

import json
import re
from typing import Any

import boto3

from shotspotter_assets.models.tuning.sagemaker import request, service, training_logs
from shotspotter_assets.models.tuning.sagemaker.task_file import task_file
from shotspotter_assets.models.tuning.tuned_settings import TUNED_SETTINGS
from shotspotter_assets.settings import CHECKOUT


def statements(name: str) -> list[Any]:
    return json.loads((CHECKOUT / "deploy" / "aws" / "tuning" / name).read_text())["Statement"]


def actions(statement: Any) -> list[str]:
    listed = statement["Action"]
    return [listed] if isinstance(listed, str) else listed


def asked_for(module: Any, boto_service: str) -> set[str]:
    """The actions of the requests that a module's source makes."""
    source = (CHECKOUT / module.__name__.replace(".", "/")).with_suffix(".py").read_text()
    methods = set(re.findall(r"self\._?client\.(\w+)", source)) | set(re.findall(r'_pages\(\s*"(\w+)"', source))
    names = boto3.client(boto_service, region_name="us-east-1").meta.method_to_api_mapping
    return {f"{boto_service}:{names[method]}" for method in methods}


def test_runs_may_do_what_they_ask_for_and_nothing_else() -> None:
    allowed = {action for statement in statements("run_policy.json") for action in actions(statement)}
    needed = asked_for(service, "sagemaker") | asked_for(training_logs, "logs")
    assert len(needed) == 10
    assert allowed == needed | {"iam:PassRole"}
    for statement in statements("run_policy.json"):
        if "sagemaker:CreateHyperParameterTuningJob" in actions(statement):
            assert statement["Resource"].endswith(f":hyper-parameter-tuning-job/{request.NAME_START}*")
        if any(action.startswith("logs:") for action in actions(statement)):
            assert f"log-group:{training_logs.LOG_GROUP}:" in statement["Resource"]


def test_training_jobs_read_their_task_and_write_beside_it_alone() -> None:
    on_objects = [one for one in statements("training_policy.json") if "s3:GetObject" in actions(one)]
    folder = f"arn:aws:s3:::BUCKET/store/{TUNED_SETTINGS}/"
    assert [one["Resource"] for one in on_objects] == [f"{folder}{task_file('*')}", f"{folder}*.sagemaker/*"]
    everything = [one["Sid"] for one in statements("training_policy.json") if one["Resource"] == "*"]
    assert everything == ["TokenHasNoResource", "Metrics"]
