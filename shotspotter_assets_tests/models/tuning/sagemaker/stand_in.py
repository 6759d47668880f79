"""A stand-in of SageMaker: an HTTP server with its API, which runs each training job as a process with the container's contract.

moto's server stands for S3, IAM and CloudWatch Logs. Requests to CloudWatch go through the stand-in, so that they can be throttled.
Values are drawn at random, as what SageMaker's sampler would draw is not ours.
"""

import contextlib
import json
import logging
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import requests
from botocore.config import Config
from moto.server import ThreadedMotoServer

from shotspotter_assets.models.tuning.sagemaker.train import ROOT_VARIABLE
from shotspotter_assets.settings import CHECKOUT

logging.getLogger("werkzeug").setLevel(logging.ERROR)

REGION, ACCOUNT, BUCKET, ROLE = "us-east-1", "123456789012", "shotspotter-tuning", "shotspotter-training"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/shotspotter:1"
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
ENDED = ("Completed", "Failed", "Stopped")
NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,31}")


class ApiError(Exception):
    """What the API answers in place of a result."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


DIVERGING = """
import keras
from shotspotter_assets.models.networks import fit

nothing = lambda targets, logits: keras.ops.sum(logits, axis=(1, 2, 3)) * float("nan")
fit.weighted_cross_entropy = lambda in_coverage, weight: nothing
"""
"""Python that the container of a network begins with."""


@dataclass
class Faults:
    """What goes wrong, by the number of the training job in its tuning job, from 1 on."""

    no_capacity: set[int] = field(default_factory=set)
    interrupted: set[int] = field(default_factory=set)
    """Spot machines that are taken away after the first epoch, and given again."""
    out_of_time: set[int] = field(default_factory=set)
    """The time that a training job may take has passed once it begins."""
    diverging: set[int] = field(default_factory=set)
    """The loss of a network is no number."""
    refused: ApiError | None = None
    """Of the next tuning job."""
    throttled: int = 0
    """So many of the next requests, to SageMaker and to CloudWatch alike."""
    late_lines_s: float = 0.0
    """Every second line of a training job comes so much later, after lines that are newer."""
    other_metric: float = 0.0
    """Is added to what the service reads out of the log."""
    shown_lines: int = 10_000
    """Of a page of the log."""


@dataclass
class Training:
    """One training job."""

    name: str
    number: int
    values: dict[str, str]
    definition: dict[str, Any]
    root: Path
    status: str = "InProgress"
    how: str = ""
    """The secondary status, where it is another one."""
    reason: str = ""
    lines: list[str] = field(default_factory=list)
    created: float = field(default_factory=time.time)
    ended: float | None = None
    starts: int = 0
    process: "subprocess.Popen[str] | None" = None
    stopping: threading.Event = field(default_factory=threading.Event)

    def metric(self, name: str) -> float | None:
        """The last value that the expressions of the request find in the log."""
        [expression] = [
            one["Regex"]
            for one in self.definition["AlgorithmSpecification"]["MetricDefinitions"]
            if one["Name"] == name
        ]
        found = [match[1] for line in self.lines if (match := re.search(expression, line))]
        return float(found[-1]) if found else None


@dataclass
class Tuning:
    """One tuning job."""

    name: str
    request: dict[str, Any]
    status: str = "InProgress"
    created: float = field(default_factory=time.time)
    trainings: list[Training] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:hyper-parameter-tuning-job/{self.name}"

    @property
    def objective(self) -> str:
        return self.request["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]["MetricName"]


class SageMaker:
    """The state of the service, and what it does."""

    def __init__(self, moto: str, folder: Path) -> None:
        self.moto, self.folder, self.faults = moto, folder, Faults()
        self.tunings: dict[str, Tuning] = {}
        self.threads: list[threading.Thread] = []
        self.requests: list[str] = []
        self._lock = threading.Lock()

    def client(self, service: str) -> Any:
        """Of moto."""
        return boto3.client(
            service, endpoint_url=self.moto, region_name=REGION, aws_access_key_id="key", aws_secret_access_key="secret"
        )

    def take_throttle(self) -> bool:
        """Whether this request is one too many."""
        with self._lock:
            is_one_too_many = self.faults.throttled > 0
            self.faults.throttled -= is_one_too_many
            return is_one_too_many

    # --- The API.

    def answer(self, action: str, body: dict[str, Any]) -> dict[str, Any]:
        """What a request gets."""
        self.requests.append(action)
        if self.take_throttle():
            raise ApiError("ThrottlingException", "Rate exceeded")
        return getattr(self, f"_{action}")(body)

    def _CreateHyperParameterTuningJob(self, body: dict[str, Any]) -> dict[str, Any]:
        name, definition = body["HyperParameterTuningJobName"], body["TrainingJobDefinition"]
        if self.faults.refused:
            raise self.faults.refused
        if not NAME.fullmatch(name):
            raise ApiError("ValidationException", f"{name} is no name of a tuning job")
        if name in self.tunings:
            raise ApiError("ResourceInUse", f"{name} is there already")
        role = definition["RoleArn"].rpartition("/")[2]
        with contextlib.suppress(self.client("iam").exceptions.NoSuchEntityException):
            assert self.client("iam").get_role(RoleName=role)["Role"]["Arn"] == definition["RoleArn"]
            for parent in body.get("WarmStartConfig", {}).get("ParentHyperParameterTuningJobs", []):
                if self._tuning(parent).status not in ENDED:
                    raise ApiError("ValidationException", "a parent has not ended")
            tuning = Tuning(name, body, tags={tag["Key"]: tag["Value"] for tag in body.get("Tags", [])})
            self.tunings[name] = tuning
            thread = threading.Thread(target=self._tune, args=(tuning,), daemon=True)
            self.threads.append(thread)
            thread.start()
            return {"HyperParameterTuningJobArn": tuning.arn}
        raise ApiError("ValidationException", f"the role {role} cannot be assumed")

    def _DescribeHyperParameterTuningJob(self, body: dict[str, Any]) -> dict[str, Any]:
        tuning = self._tuning(body)
        best = self._best(tuning)
        return {
            **tuning.request,
            "HyperParameterTuningJobArn": tuning.arn,
            "HyperParameterTuningJobStatus": tuning.status,
            "CreationTime": tuning.created,
            "TrainingJobStatusCounters": {
                "Completed": sum(one.status == "Completed" for one in tuning.trainings),
                "InProgress": sum(one.status == "InProgress" for one in tuning.trainings),
            },
            "ObjectiveStatusCounters": {"Succeeded": 0, "Pending": 0, "Failed": 0},
            **({} if best is None else {"BestTrainingJob": self._summary(tuning, best)}),
        }

    def _ListHyperParameterTuningJobs(self, body: dict[str, Any]) -> dict[str, Any]:
        wanted = [
            one
            for one in sorted(self.tunings.values(), key=lambda one: -one.created)
            if body.get("NameContains", "") in one.name and body.get("StatusEquals", one.status) == one.status
        ]
        summaries = [
            {
                "HyperParameterTuningJobName": one.name,
                "HyperParameterTuningJobArn": one.arn,
                "HyperParameterTuningJobStatus": one.status,
                "Strategy": "Bayesian",
                "CreationTime": one.created,
                "TrainingJobStatusCounters": {},
                "ObjectiveStatusCounters": {},
            }
            for one in wanted
        ]
        return self._page("HyperParameterTuningJobSummaries", summaries, body)

    def _ListTrainingJobsForHyperParameterTuningJob(self, body: dict[str, Any]) -> dict[str, Any]:
        tuning = self._tuning(body)
        return self._page("TrainingJobSummaries", [self._summary(tuning, one) for one in list(tuning.trainings)], body)

    def _DescribeTrainingJob(self, body: dict[str, Any]) -> dict[str, Any]:
        _, training = self._training(body)
        took = round((training.ended or time.time()) - training.created) + 60
        is_spot = training.definition.get("EnableManagedSpotTraining", False)
        return {
            "TrainingJobName": training.name,
            "TrainingJobArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/{training.name}",
            "TrainingJobStatus": training.status,
            "SecondaryStatus": training.how or training.status,
            "StoppingCondition": training.definition["StoppingCondition"],
            "CreationTime": training.created,
            "TrainingTimeInSeconds": took,
            "BillableTimeInSeconds": took // 3 if is_spot else took,
        }

    def _StopHyperParameterTuningJob(self, body: dict[str, Any]) -> dict[str, Any]:
        tuning = self._tuning(body)
        if tuning.status != "InProgress":
            raise ApiError("ValidationException", f"{tuning.name} is {tuning.status}")
        tuning.status = "Stopping"
        tuning.stopping.set()
        return {}

    def _StopTrainingJob(self, body: dict[str, Any]) -> dict[str, Any]:
        _, training = self._training(body)
        if training.status in ENDED:
            raise ApiError("ValidationException", f"{training.name} is {training.status}")
        training.stopping.set()
        return {}

    def _ListTags(self, body: dict[str, Any]) -> dict[str, Any]:
        tags = self._of_arn(body["ResourceArn"]).tags
        return {"Tags": [{"Key": tag, "Value": value} for tag, value in tags.items()]}

    def _AddTags(self, body: dict[str, Any]) -> dict[str, Any]:
        tuning = self._of_arn(body["ResourceArn"])
        tuning.tags |= {tag["Key"]: tag["Value"] for tag in body["Tags"]}
        return self._ListTags(body)

    # --- What is behind it.

    def _of_arn(self, arn: str) -> Tuning:
        return self._tuning({"HyperParameterTuningJobName": arn.rpartition("/")[2]})

    def _tuning(self, body: dict[str, Any]) -> Tuning:
        name = body["HyperParameterTuningJobName"]
        if name not in self.tunings:
            raise ApiError("ResourceNotFound", f"Could not find the tuning job {name}")
        return self.tunings[name]

    def _training(self, body: dict[str, Any]) -> tuple[Tuning, Training]:
        for tuning in self.tunings.values():
            for training in tuning.trainings:
                if training.name == body["TrainingJobName"]:
                    return tuning, training
        raise ApiError("ResourceNotFound", f"Could not find the training job {body['TrainingJobName']}")

    @staticmethod
    def _page(name: str, items: list[Any], body: dict[str, Any]) -> dict[str, Any]:
        """Two at a time."""
        first = int(body.get("NextToken", 0))
        return {name: items[first : first + 2], **({"NextToken": str(first + 2)} if len(items) > first + 2 else {})}

    def _summary(self, tuning: Tuning, one: Training) -> dict[str, Any]:
        summary: dict[str, Any] = {
            "TrainingJobName": one.name,
            "TrainingJobArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/{one.name}",
            "TrainingJobStatus": one.status,
            "CreationTime": one.created,
            "TunedHyperParameters": one.values,
        }
        if one.status in ENDED:
            summary["TrainingEndTime"] = one.ended
            value = one.metric(tuning.objective)
            if value is not None:
                summary["FinalHyperParameterTuningJobObjectiveMetric"] = {
                    "MetricName": tuning.objective,
                    "Value": value + self.faults.other_metric,
                }
        if one.reason:
            summary["FailureReason"] = one.reason
        return summary

    @staticmethod
    def _best(tuning: Tuning) -> Training | None:
        known = [(one.metric(tuning.objective), one) for one in tuning.trainings if one.status == "Completed"]
        return min(
            ((value, one) for value, one in known if value is not None), key=lambda pair: pair[0], default=(0, None)
        )[1]

    def _tune(self, tuning: Tuning) -> None:
        config = tuning.request["HyperParameterTuningJobConfig"]
        limits = config["ResourceLimits"]
        draw = random.Random(config.get("RandomSeed", 0))
        slots = threading.Semaphore(limits["MaxParallelTrainingJobs"])
        threads = []
        for number in range(1, limits["MaxNumberOfTrainingJobs"] + 1):
            while not slots.acquire(timeout=0.05):
                if tuning.stopping.is_set():
                    break
            if tuning.stopping.is_set():
                break
            name = f"{tuning.name}-{number:03d}-{draw.randrange(16**8):08x}"
            training = Training(
                name, number, suggested(config["ParameterRanges"], draw), tuning.request["TrainingJobDefinition"],
                self.folder / name / "opt" / "ml",
            )  # fmt: skip
            tuning.trainings.append(training)
            thread = threading.Thread(target=self._train, args=(tuning, training, slots), daemon=True)
            thread.start()
            threads.append(thread)
        for thread in threads:
            thread.join()
        tuning.status = "Stopped" if tuning.stopping.is_set() else "Completed"

    def _train(self, tuning: Tuning, training: Training, slots: threading.Semaphore) -> None:
        try:
            if training.number in self.faults.no_capacity:
                training.reason = "CapacityError: Unable to provision requested ML compute capacity."
                self._end(training, "Failed")
                return
            self._lay_out(training)
            code = None
            while code is None:
                code = self._run(tuning, training)
            stopped = training.stopping.is_set() or tuning.stopping.is_set()
            if code and not stopped:
                failure = training.root / "output" / "failure"
                said = failure.read_text() if failure.exists() else ""
                training.reason = f"AlgorithmError: {said}, exit code: {code}"
            self._end(training, "Stopped" if stopped else "Failed" if code else "Completed")
        finally:
            slots.release()

    @staticmethod
    def _end(training: Training, status: str) -> None:
        training.ended = time.time()
        training.status = status

    def _lay_out(self, training: Training) -> None:
        """What a container finds below /opt/ml."""
        definition, config = training.definition, training.root / "input" / "config"
        config.mkdir(parents=True)
        (training.root / "output").mkdir()
        static = definition.get("StaticHyperParameters", {})
        tuned = {"_tuning_objective_metric": "validation_log_loss", **static, **training.values}
        (config / "hyperparameters.json").write_text(json.dumps(tuned))
        if "CheckpointConfig" in definition:
            (training.root / "checkpoints").mkdir()
        for channel in definition["InputDataConfig"]:
            folder = training.root / "input" / "data" / channel["ChannelName"]
            folder.mkdir(parents=True)
            bucket, _, key = channel["DataSource"]["S3DataSource"]["S3Uri"].removeprefix("s3://").partition("/")
            self.client("s3").download_file(bucket, key, str(folder / key.rpartition("/")[2]))

    def _run(self, tuning: Tuning, training: Training) -> int | None:
        """The container once: its exit code; None where its machine was taken away."""
        training.starts += 1
        stream = f"{training.name}/algo-1-{int(time.time() * 1000)}"
        log = LogWriter(self.client("logs"), stream, self.faults.late_lines_s)
        environment = {
            "PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3",
            ROOT_VARIABLE: str(training.root), "TRAINING_JOB_NAME": training.name, "HOME": str(training.root),
        }  # fmt: skip
        if training.number in self.faults.diverging:
            (training.root / "sitecustomize.py").write_text(DIVERGING)
            environment["PYTHONPATH"] += f"{os.pathsep}{training.root}"
        limit = training.definition["StoppingCondition"]["MaxRuntimeInSeconds"]
        seconds = 0 if training.number in self.faults.out_of_time else limit
        process = subprocess.Popen(
            program(),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        training.process = process
        watcher = threading.Thread(target=self._watch, args=(tuning, training, process, seconds), daemon=True)
        watcher.start()
        assert process.stdout is not None
        taken_away = False
        for line in process.stdout:
            training.lines.append(line.rstrip())
            log.write(line.rstrip())
            if training.number in self.faults.interrupted and training.starts == 1 and "tuning epoch=" in line:
                taken_away = True
                os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()
        code = process.wait()
        watcher.join()
        log.close()
        return None if taken_away else code

    @staticmethod
    def _watch(tuning: Tuning, training: Training, process: "subprocess.Popen[str]", seconds: float) -> None:
        """Ends the container where it is told to, or its time is up."""
        until = time.monotonic() + seconds
        while process.poll() is None:
            is_late = time.monotonic() > until
            if is_late or training.stopping.wait(0.05) or tuning.stopping.is_set():
                training.how = "MaxRuntimeExceeded" if is_late else "Stopped"
                training.stopping.set()
                training.status = "Stopping"
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                return

    def close(self) -> None:
        """End what is left."""
        for tuning in self.tunings.values():
            tuning.stopping.set()
        for thread in self.threads:
            thread.join(30)


def program() -> list[str]:
    """What the image's command `train` runs, by its Dockerfile."""
    text = (CHECKOUT / "deploy" / "own_machines" / "Dockerfile").read_text()
    found = re.search(r"exec python (-m \S+?)\\n' > /usr/local/bin/train", text)
    assert found
    return [sys.executable, *found[1].split()]


class LogWriter:
    """Puts lines into a stream of moto's CloudWatch Logs; every second one may be late."""

    def __init__(self, client: Any, stream: str, late_s: float) -> None:
        self._client, self._stream, self._late_s = client, stream, late_s
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_log_group(logGroupName=LOG_GROUP)
        client.create_log_stream(logGroupName=LOG_GROUP, logStreamName=stream)
        self._lines = 0
        self._timers: list[threading.Timer] = []

    def write(self, line: str) -> None:
        event = {"timestamp": int(time.time() * 1000), "message": line or " "}
        self._lines += 1
        if self._late_s and self._lines % 2:
            timer = threading.Timer(self._late_s, self._put, args=(event,))
            self._timers.append(timer)
            timer.start()
        else:
            self._put(event)

    def _put(self, event: dict[str, Any]) -> None:
        self._client.put_log_events(logGroupName=LOG_GROUP, logStreamName=self._stream, logEvents=[event])

    def close(self) -> None:
        """Late lines come after the end, too."""


def suggested(ranges: dict[str, Any], draw: random.Random) -> dict[str, str]:
    """Values at random, as texts."""
    values: dict[str, str] = {}
    for one in ranges.get("ContinuousParameterRanges", []) + ranges.get("IntegerParameterRanges", []):
        low, high = float(one["MinValue"]), float(one["MaxValue"])
        is_log = one["ScalingType"] == "Logarithmic"
        value = low * (high / low) ** draw.random() if is_log else draw.uniform(low, high)
        values[one["Name"]] = str(round(value)) if one in ranges.get("IntegerParameterRanges", []) else str(value)
    for one in ranges.get("CategoricalParameterRanges", []):
        values[one["Name"]] = draw.choice(one["Values"])
    return values


class _Handler(BaseHTTPRequestHandler):
    """Requests to SageMaker are answered, those to CloudWatch passed on."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        service: SageMaker = self.server.service  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        target, _, action = self.headers["X-Amz-Target"].partition(".")
        if target != "SageMaker":
            return self._pass_on(service, action, body)
        try:
            return self._send(200, json.dumps(service.answer(action, json.loads(body))).encode())
        except ApiError as error:
            return self._send(400, json.dumps({"__type": error.code, "message": str(error)}).encode())

    def _pass_on(self, service: SageMaker, action: str, body: bytes) -> None:
        service.requests.append(action)
        if service.take_throttle():
            return self._send(400, json.dumps({"__type": "ThrottlingException", "message": "Rate exceeded"}).encode())
        if action == "FilterLogEvents":
            body = json.dumps({**json.loads(body), "limit": service.faults.shown_lines}).encode()
        names = ("Content-Type", "X-Amz-Target", "Authorization", "X-Amz-Date")
        headers = {name: self.headers[name] for name in names if self.headers[name]}
        answer = requests.post(service.moto, data=body, headers=headers, timeout=30)
        return self._send(answer.status_code, answer.content)

    def _send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing is said."""


@dataclass
class Aws:
    """The running servers."""

    moto: str
    address: str
    role: str
    store_root: str
    service: SageMaker = field(repr=False)
    """Of this process."""

    def moto_client(self, service: str) -> Any:
        """Of moto's own services."""
        return boto3.client(
            service, endpoint_url=self.moto, region_name=REGION, aws_access_key_id="key", aws_secret_access_key="secret"
        )

    def client(self, service: str) -> Any:
        """Of a user: SageMaker and CloudWatch Logs are the stand-in's."""
        return boto3.client(
            service, endpoint_url=self.address, region_name=REGION, aws_access_key_id="key", aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": 1}),
        )  # fmt: skip

    def environment(self) -> dict[str, str]:
        """What a user sets, and where the services are."""
        return {
            "AWS_ENDPOINT_URL": self.moto, "AWS_ENDPOINT_URL_SAGEMAKER": self.address,
            "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": self.address, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": REGION,
        }  # fmt: skip


@contextlib.contextmanager
def aws(folder: Path) -> Iterator[Aws]:
    """moto and the stand-in on free loopback ports, with a bucket and a role, until the block ends."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    service = SageMaker(f"http://{host}:{port}", folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.service = service  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        service.client("s3").create_bucket(Bucket=BUCKET)
        principal = {"Service": "sagemaker.amazonaws.com"}
        trust = {"Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]}
        role = service.client("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(trust))["Role"][
            "Arn"
        ]
        yield Aws(service.moto, f"http://127.0.0.1:{server.server_port}", role, f"s3://{BUCKET}/store", service)
    finally:
        service.close()
        server.shutdown()
        server.server_close()
        thread.join()
        requests.post(f"{service.moto}/moto-api/reset", timeout=30).raise_for_status()
        moto.stop()
