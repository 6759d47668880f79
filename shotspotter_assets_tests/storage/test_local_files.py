import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from shotspotter_assets.storage.catalogue import FOLD_MODEL, PAGE, TENSORS
from shotspotter_assets.storage.errors import StoreError
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.store_format import MARKER, present_format
from shotspotter_assets_tests.s3_server import S3Server
from shotspotter_assets_tests.waiting import wait_until

MODEL = FOLD_MODEL.named(model="model", file="keras")
PLACE = ("x", date(2018, 1, 1))
SIZE = 20_000_000
WRITER = f"""
import sys
from datetime import date
from shotspotter_assets.storage.catalogue import FOLD_MODEL
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.store_format import MARKER, present_format
store = Store(sys.argv[1])
model = FOLD_MODEL.named(model="model", file="keras")
number = 0
contents = [bytes([number]) * {SIZE} for number in range(2)]
while True:
    number = 1 - number
    store.write_bytes(model, contents[number], "x", date(2018, 1, 1))
    print(number, flush=True)
"""


def is_whole(content: bytes) -> bool:
    return len(content) == SIZE and content.count(content[:1]) == SIZE


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@contextmanager
def process(*arguments: str, **how: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends, which kills it."""
    started = subprocess.Popen([sys.executable, "-c", *arguments], **how)
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


@contextmanager
def writer(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Write two contents in turn."""
    with process(WRITER, str(root), stdout=subprocess.PIPE) as started:
        started.stdout.readline()
        yield started


def test_a_killed_writer_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    folder = Path(store.uri(MODEL, *PLACE)).parent
    for _ in range(12):
        with writer(tmp_path) as process:
            before = names_in(folder)
            wait_until(lambda before=before: names_in(folder) - before, every=0.001, process=process)
        assert is_whole(store.read_bytes(MODEL, *PLACE))
        leftovers = names_in(folder) - {"model.keras"}
        assert all(name.startswith(".") for name in leftovers)
        if len(leftovers) >= 2:
            break
    assert leftovers, "no writer was killed in the middle of a write: the test has shown nothing"


def test_a_reader_beside_a_writer_never_sees_a_torn_file(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    versions = set()
    with writer(tmp_path):
        for _ in range(60):
            content = store.read_bytes(MODEL, *PLACE)
            assert is_whole(content)
            versions.add(content[0])
    assert len(versions) > 1


@pytest.mark.parametrize(
    "blocked", ["store", "store/fold_models", "store/fold_models/city=x/target=gunfire/fold=2018-01-01"]
)
def test_a_file_instead_of_a_folder_makes_the_store_unwritable(tmp_path: Path, blocked: str) -> None:
    (tmp_path / blocked).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / blocked).write_bytes(b"")
    if blocked != "store":
        (tmp_path / "store" / MARKER).write_bytes(present_format().content())
    store = Store(str(tmp_path / "store"))
    with pytest.raises(StoreError) as caught:
        store.write_bytes(MODEL, b"x", *PLACE)
    assert str(tmp_path / "store") in str(caught.value)
    assert "SHOTSPOTTER_STORE" in str(caught.value)
    assert not store.exists(MODEL, *PLACE)
    assert store.days_present(MODEL, "x") == set()
    store.delete(MODEL, *PLACE)


def test_a_full_disk_leaves_the_old_file_and_no_leftover(tmp_path: Path) -> None:
    """A limit on file size stands in for the full disk: both end a write in the middle with an OSError."""
    code = f"""
import resource, signal
{WRITER.split("number = 0", maxsplit=1)[0]}
from shotspotter_assets.storage.errors import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    store.write_bytes(model, b"y" * 1_000_000, "x", date(2018, 1, 1))
except StoreError as error:
    print(error)
"""
    store = Store(str(tmp_path))
    store.write_bytes(MODEL, b"old", *PLACE)
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert f"Cannot use the store {tmp_path}: File too large" in run.stdout
    assert store.read_bytes(MODEL, *PLACE) == b"old"
    assert names_in(Path(store.uri(MODEL, *PLACE)).parent) == {"model.keras"}


FILES = [PAGE.named(file=name) for name in ("rejected", "alerts", "record")]
LOCKED_WRITER = """
import sys
from shotspotter_assets.storage.catalogue import PAGE
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.store_format import MARKER, present_format
from shotspotter_assets_tests.waiting import wait_until
root, name = sys.argv[1:]
store = Store(root)
rejected = PAGE.named(file="rejected")
for number in range(40):
    with store.alone("city_pages", "town"):
        for file in ("rejected", "alerts", "record"):
            store.write_bytes(PAGE.named(file=file), f"{name} {number} ".encode() * 1000, "town")
    if number < 39:  # the other one begins next, as a lock has no queue
        wait_until(lambda: not store.read_bytes(rejected, "town").startswith(name.encode()), every=0.001)
"""


def test_the_files_of_a_partition_come_from_one_process(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    seen = set()
    last = b""

    def is_new() -> bool:
        return store.exists(FILES[0], "town") and store.read_bytes(FILES[0], "town") != last

    with (
        process(LOCKED_WRITER, str(tmp_path), "writer_a") as first,
        process(LOCKED_WRITER, str(tmp_path), "writer_b") as second,
    ):
        while first.poll() is None or second.poll() is None:
            with store.alone("city_pages", "town"):
                if store.exists(FILES[-1], "town"):
                    contents = {store.read_bytes(file, "town") for file in FILES}
                    [last] = contents
                    seen.add(last)
            wait_until(lambda: is_new() or first.poll() == second.poll() == 0, every=0.001)
        assert first.returncode == second.returncode == 0
    assert {content.split()[0] for content in seen} == {b"writer_a", b"writer_b"}
    assert not list(tmp_path.rglob("*.partial"))


def test_a_killed_process_releases_its_lock(tmp_path: Path) -> None:
    held = tmp_path / "held"
    waiting = f"""
import signal
from pathlib import Path
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.store_format import MARKER, present_format
with Store({str(tmp_path)!r}).alone("city_pages", "town"):
    Path({str(held)!r}).touch()
    signal.pause()
"""
    with process(waiting) as killed:
        wait_until(held.exists, process=killed)
        os.kill(killed.pid, signal.SIGKILL)
        with Store(str(tmp_path)).alone("city_pages", "town"):
            pass


DAY = date(2018, 1, 1)


def fails(store: Store, reason: str) -> None:
    """Reading and writing blame the store, not a missing object."""
    with pytest.raises(StoreError, match=f"{store.root}: .*{reason}.*SHOTSPOTTER_STORE"):
        store.write_bytes(TENSORS, b"x", "x", DAY)
    with pytest.raises(StoreError, match=reason):
        store.read_bytes(TENSORS, "x", DAY)
    with pytest.raises(StoreError, match=reason):
        store.read_window(TENSORS, "x", DAY, DAY)


def client_at(url: str) -> Any:
    how = Config(retries={"total_max_attempts": 1}, proxies={})
    return boto3.client("s3", endpoint_url=url, region_name="us-east-1", config=how)


def test_errors_of_a_bucket_are_named(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    s3_server.use(monkeypatch)
    fails(Store("s3://no-such-bucket/prefix", s3_server.client()), "(NoSuchBucket|AccessDenied)")
    fails(Store(f"s3://{s3_server.bucket}/prefix", s3_server.client("wrong")), "(SignatureDoesNotMatch|AccessDenied)")
    fails(Store("s3://bucket/prefix", client_at("http://127.0.0.1:1")), "Could not connect")


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
    client = client_at(f"http://me:{secret[:20].replace('/', '')}@127.0.0.1:1")
    store = Store("s3://bucket/prefix", client)
    with Stubber(client) as stubber:
        stubber.add_client_error("get_object", "Odd", f"{'x' * 280}{secret}{secret[::-1]}")
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
    pages.clear()
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
