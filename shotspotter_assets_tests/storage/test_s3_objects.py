import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from shotspotter_assets.storage.catalogue import PAGE, TENSORS
from shotspotter_assets.storage.errors import StoreError
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.s3_server import S3Server

DAY = date(2018, 1, 1)


def fails(store: Store, reason: str) -> None:
    """Reading and writing blame the store, not a missing object."""
    with pytest.raises(StoreError, match=f"{store.root}: .*{reason}.*SHOTSPOTTER_STORE"):
        store.write_bytes(TENSORS, b"x", "x", DAY)
    with pytest.raises(StoreError, match=reason):
        store.read_bytes(TENSORS, "x", DAY)
    with pytest.raises(StoreError, match=reason):
        store.read_window(TENSORS, "x", DAY, DAY)


def test_errors_of_a_bucket_are_named(s3_server: S3Server) -> None:
    fails(Store("s3://no-such-bucket/prefix", s3_server.client()), "(NoSuchBucket|AccessDenied)")
    fails(Store(f"s3://{s3_server.bucket}/prefix", s3_server.client("wrong")), "(SignatureDoesNotMatch|AccessDenied)")
    client = boto3.client(
        "s3", endpoint_url="http://127.0.0.1:1", aws_access_key_id="a", aws_secret_access_key="b",
        region_name="us-east-1", config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )  # fmt: skip
    fails(Store("s3://bucket/prefix", client), "Could not connect")


def test_pages_have_the_content_type_that_browsers_need(s3_server: S3Server, s3_store_root: str) -> None:
    client = s3_server.client()
    store = Store(s3_store_root, client)
    kinds = {"index.html": "text/html", "a.css": "text/css", "a.js": "javascript", "a.png": "image/png"}
    for name, kind in kinds.items():
        page = PAGE.named(file=name)
        store.write_bytes(page, b"x", "x")
        key = store.uri(page, "x").removeprefix(f"s3://{s3_server.bucket}/")
        assert kind in client.head_object(Bucket=s3_server.bucket, Key=key)["ContentType"]


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
        with pytest.raises(StoreError, match="Odd") as echoed:
            store.write_bytes(TENSORS, b"x", "x", DAY)
    with pytest.raises(StoreError, match="Could not connect") as refused:
        store.write_bytes(TENSORS, b"x", "x", DAY)
    for caught in (echoed, refused):
        shown = "".join(traceback.format_exception(caught.value))
        assert not any(text[at : at + 8] in shown for text in (secret, secret[::-1]) for at in range(len(secret) - 7))


def counted(client: Any, pages: list[str | None]) -> Any:
    def note(params: dict[str, Any], **_: Any) -> None:
        pages.append(params.get("ContinuationToken"))

    client.meta.events.register("provide-client-params.s3.ListObjectsV2", note)
    return client


def test_listings_go_on_past_the_first_page(s3_server: S3Server, s3_store_root: str) -> None:
    pages: list[str | None] = []
    store = Store(s3_store_root, counted(s3_server.client(), pages))
    days = [DAY + timedelta(days=number) for number in range(1100)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda day: store.write_bytes(TENSORS, b"x", "x", day), days))
    assert store.days_present(TENSORS, "x") == set(days)
    assert len(pages) == 2
    pages.clear()
    assert store.days_present(TENSORS, "x", days[1050], days[1060]) == set(days[1050:1061])
    assert len(pages) == 1


def test_a_bucket_without_prefix_is_a_store(s3_server: S3Server) -> None:
    store = Store(f"s3://{s3_server.bucket}/", s3_server.client())
    store.write_bytes(TENSORS, b"x", "x", DAY)
    key = "grid_tensors/city=x/date=2018-01-01/grid.parquet"
    assert store.uri(TENSORS, "x", DAY) == f"s3://{s3_server.bucket}/{key}"
    assert s3_server.client().get_object(Bucket=s3_server.bucket, Key=key)["Body"].read() == b"x"
    assert store.days_present(TENSORS, "x") == {DAY}
