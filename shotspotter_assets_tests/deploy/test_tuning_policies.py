import json
import re
from pathlib import Path
from typing import Any

import boto3

from shotspotter_assets.models.tuning import sagemaker_tuning_job as tuning_job
from shotspotter_assets.models.tuning.sagemaker_task_file import TASK_FILE
from shotspotter_assets.models.tuning.search import TUNED_SETTINGS
from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets_tests.deploy.test_aws import actions


def statements(name: str) -> list[Any]:
    return json.loads((CHECKOUT / "deploy" / "aws" / "tuning" / name).read_text())["Statement"]


def test_runs_may_make_their_requests_and_nothing_else() -> None:
    source = Path(tuning_job.__file__).read_text()
    methods = set(re.findall(r"\bsagemaker\.(?:get_paginator\(\"(\w+)|(\w+)\()", source))
    known = boto3.client("sagemaker", region_name="us-east-1").meta.method_to_api_mapping
    needed = {f"sagemaker:{known[name]}" for pair in methods for name in pair if name in known}
    allowed = {action for statement in statements("run_policy.json") for action in actions(statement)}
    # A tuning job is created with tags.
    assert allowed == needed | {"iam:PassRole", "sagemaker:AddTags"}
    for statement in statements("run_policy.json"):
        if "sagemaker:CreateHyperParameterTuningJob" in actions(statement):
            assert statement["Resource"].endswith(f":hyper-parameter-tuning-job/{tuning_job.NAME_START}*")


def test_training_jobs_read_their_task_and_write_beside_it_alone() -> None:
    on_objects = [one for one in statements("training_policy.json") if "s3:GetObject" in actions(one)]
    folder = f"arn:aws:s3:::BUCKET/store/{TUNED_SETTINGS.asset}/"
    assert [one["Resource"] for one in on_objects] == [f"{folder}*.{TASK_FILE}", f"{folder}*.sagemaker/*"]
    everything = [one["Sid"] for one in statements("training_policy.json") if one["Resource"] == "*"]
    assert everything == ["TokenHasNoResource", "Metrics"]
