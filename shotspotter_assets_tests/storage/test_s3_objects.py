"""S3: listings longer than a page, and servers, buckets and keys that are not there."""

import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import boto3
import pyarrow as pa
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from shotspotter_assets.storage.errors import StoreUnreadableError, StoreUnwritableError
from shotspotter_assets.storage.store import Partition, Store
from shotspotter_assets_tests.line import Line, line_to
from shotspotter_assets_tests.s3_server import S3Server

DAY = date(2018, 1, 1)
PARTITION = Partition("grid_tensors", "x", "date", DAY)


def fails(store: Store, reason: str) -> None:
    """All methods blame the store, not a missing object."""
    with pytest.raises(StoreUnwritableError, match=f"{store.root}: {reason}.*SHOTSPOTTER_STORE"):
        store.write_bytes(PARTITION, "grid.parquet", b"x")
    with pytest.raises(StoreUnwritableError, match=reason):
        store.delete(PARTITION, "grid.parquet")
    with pytest.raises(StoreUnwritableError, match=reason):
        store.write_tables("grid_tensors", "x", "grid.parquet", {DAY: pa.table({"a": [1]})})
    with pytest.raises(StoreUnreadableError, match=f"{store.root}: {reason}.*SHOTSPOTTER_STORE"):
        store.read_bytes(PARTITION, "grid.parquet")
    with pytest.raises(StoreUnreadableError, match=reason):
        store.exists(PARTITION, "grid.parquet")
    with pytest.raises(StoreUnreadableError, match=reason):
        store.read_window("grid_tensors", "x", "grid.parquet", DAY, DAY)


def test_a_missing_bucket_is_named(s3_server: S3Server) -> None:
    store = Store("s3://no-such-bucket/prefix", s3_server.client())
    fails(store, "(no such bucket|access denied)")
    with pytest.raises(StoreUnreadableError, match="no such bucket"):
        store.exists(PARTITION, "grid.parquet")
    with pytest.raises(StoreUnreadableError, match="no such bucket"):
        store.read_bytes(PARTITION, "grid.parquet")


def test_pages_have_the_content_type_that_browsers_need(s3_server: S3Server, s3_store_root: str) -> None:
    client = s3_server.client()
    store, partition = Store(s3_store_root, client), Partition("city_pages", "x")
    for file, kind in {
        "index.html": "text/html",
        "a.css": "text/css",
        "a.js": "javascript",
        "a.png": "image/png",
    }.items():
        store.write_bytes(partition, file, b"x")
        key = store.uri(partition, file).removeprefix(f"s3://{s3_server.bucket}/")
        assert kind in client.head_object(Bucket=s3_server.bucket, Key=key)["ContentType"]


@pytest.mark.parametrize(("code", "reason"), [("NoSuchBucket", "no such bucket"), ("SlowDown", "SlowDown")])
def test_the_reason_of_a_refused_write_is_shown(s3_server: S3Server, code: str, reason: str) -> None:
    client = s3_server.client()
    store = Store("s3://bucket/prefix", client)
    with Stubber(client) as stubber:
        stubber.add_client_error("put_object", service_error_code=code)
        with pytest.raises(StoreUnwritableError, match=reason):
            store.write_bytes(PARTITION, "grid.parquet", b"x")


def test_wrong_keys_are_named(s3_server: S3Server) -> None:
    fails(Store(f"s3://{s3_server.bucket}/prefix", s3_server.client("wrong")), "(wrong secret key|access denied)")


def test_a_server_that_does_not_answer_is_named(s3_server: S3Server) -> None:
    client = boto3.client(
        "s3", endpoint_url="http://127.0.0.1:1", aws_access_key_id="a", aws_secret_access_key="b",
        region_name="us-east-1", config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )  # fmt: skip
    fails(Store("s3://bucket/prefix", client), "Could not connect")


@pytest.fixture
def line(s3_server: S3Server) -> Iterator[Line]:
    with line_to(s3_server.endpoint) as line:
        yield line


def without_retries(s3_server: S3Server, line: Line) -> Any:
    return boto3.client(
        "s3", endpoint_url=line.endpoint, aws_access_key_id=s3_server.access_key,
        aws_secret_access_key=s3_server.secret_key, region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, proxies={}),
    )  # fmt: skip


def test_requests_are_repeated_during_an_outage(
    s3_server: S3Server, s3_store_root: str, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(s3_store_root, without_retries(s3_server, line), patience_s=30)
    tables = {DAY + timedelta(days=number): pa.table({"a": [number] * 1000}) for number in range(200)}
    cut = threading.Timer(0.05, lambda: line.cut_for(1.5))
    cut.start()
    began = time.monotonic()
    store.write_tables("grid_tensors", "x", "grid.parquet", tables)
    assert time.monotonic() - began > 1.4
    for use in (
        lambda: store.read_window("grid_tensors", "x", "grid.parquet", min(tables), max(tables)),
        lambda: store.exists(Partition("grid_tensors", "x", "date", DAY), "grid.parquet"),
        lambda: store.days_present("grid_tensors", "x", "grid.parquet"),
        lambda: store.delete(PARTITION, "other.parquet"),
    ):
        mended = line.cut_for(0.3)
        use()
        mended.join()
    window = store.read_window("grid_tensors", "x", "grid.parquet", min(tables), max(tables))
    assert window["a"].to_pylist() == [number for number in range(200) for _ in range(1000)]
    logged = [record.getMessage() for record in caplog.records if "repeated for 30 s" in record.getMessage()]
    assert 1 <= len(logged) < 20
    assert logged[0].startswith(f"{s3_store_root}: ")


@pytest.mark.parametrize("patience_s", [0.0, 0.6])
def test_a_lasting_outage_is_an_error(patience_s: float, s3_server: S3Server, s3_store_root: str, line: Line) -> None:
    line.cut()
    began = time.monotonic()
    with pytest.raises(StoreUnwritableError, match="Could not connect"):
        Store(s3_store_root, without_retries(s3_server, line), patience_s).write_bytes(PARTITION, "grid.parquet", b"x")
    assert patience_s <= time.monotonic() - began < patience_s + 10


@pytest.mark.parametrize(
    ("status", "code", "is_asked_again"),
    [(503, "SlowDown", True), (500, "InternalError", True), (400, "RequestTimeout", True), (429, "Slow", True),
     (403, "AccessDenied", False), (404, "NoSuchBucket", False), (400, "SlowDown", False)],
)  # fmt: skip
def test_only_temporary_errors_are_repeated(status: int, code: str, is_asked_again: bool, s3_server: S3Server) -> None:
    client = s3_server.client()
    store = Store("s3://bucket/prefix", client, patience_s=30)
    with Stubber(client) as stubber:
        stubber.add_client_error("put_object", service_error_code=code, http_status_code=status)
        if is_asked_again:
            stubber.add_response("put_object", {})
            store.write_bytes(PARTITION, "grid.parquet", b"x")
        else:
            with pytest.raises(StoreUnwritableError):
                store.write_bytes(PARTITION, "grid.parquet", b"x")
        stubber.assert_no_pending_responses()


def test_no_error_shows_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    monkeypatch.setenv("AWS_SESSION_TOKEN", secret[::-1])
    client = boto3.client(
        "s3", endpoint_url=f"http://me:{secret[:20].replace('/', '')}@127.0.0.1:1", region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )  # fmt: skip
    store = Store("s3://bucket/prefix", client)
    with Stubber(client) as stubber:
        stubber.add_client_error("put_object", "Odd", f"{'x' * 280}{secret}{secret[::-1]}")
        with pytest.raises(StoreUnwritableError, match="Odd") as echoed:
            store.write_bytes(PARTITION, "grid.parquet", b"x")
    with pytest.raises(StoreUnwritableError, match="Could not connect") as refused:
        store.write_bytes(PARTITION, "grid.parquet", b"x")
    for caught in (echoed, refused):
        shown = "".join(traceback.format_exception(caught.value))
        assert not any(text[at : at + 8] in shown for text in (secret, secret[::-1]) for at in range(len(secret) - 7))


def counted(client: Any, pages: list[str | None]) -> Any:
    """Note the start of each page that the client asks for."""

    def note(params: dict[str, Any], **_: Any) -> None:
        pages.append(params.get("ContinuationToken"))

    client.meta.events.register("provide-client-params.s3.ListObjectsV2", note)
    return client


def test_listings_go_on_past_the_first_page(s3_server: S3Server, s3_store_root: str) -> None:
    pages: list[str | None] = []
    store = Store(s3_store_root, counted(s3_server.client(), pages))
    days = [DAY + timedelta(days=number) for number in range(1100)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda day: store.write_bytes(Partition("a", "x", "date", day), "grid.parquet", b"x"), days))
    assert store.days_present("a", "x", "grid.parquet") == set(days)
    assert len(pages) == 2
    pages.clear()
    assert store._objects.folders_with("a/city=x", "date=", str(days[1050]), str(days[1060]), "grid.parquet") == [
        f"date={day}" for day in days[1050:1061]
    ]
    assert len(pages) == 1


def test_a_bucket_without_prefix_is_a_store(s3_server: S3Server) -> None:
    store = Store(f"s3://{s3_server.bucket}/", s3_server.client())
    store.write_bytes(PARTITION, "grid.parquet", b"x")
    key = "grid_tensors/city=x/date=2018-01-01/grid.parquet"
    assert store.uri(PARTITION, "grid.parquet") == f"s3://{s3_server.bucket}/{key}"
    assert s3_server.client().get_object(Bucket=s3_server.bucket, Key=key)["Body"].read() == b"x"
    assert store.days_present("grid_tensors", "x", "grid.parquet") == {DAY}
