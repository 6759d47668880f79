import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from shotspotter_assets.storage.catalogue import FOLD_MODEL, PAGE
from shotspotter_assets.storage.errors import StoreError
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.waiting import wait_until

MODEL = FOLD_MODEL.named(model="model", file="keras")
PLACE = ("x", date(2018, 1, 1))
SIZE = 20_000_000
WRITER = f"""
import sys
from datetime import date
from shotspotter_assets.storage.catalogue import FOLD_MODEL
from shotspotter_assets.storage.store import Store
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
def writer(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Write two contents in turn until the block ends, which kills the process."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE)
    process.stdout.readline()
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


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
    with writer(tmp_path):
        seen = [store.read_bytes(MODEL, *PLACE) for _ in range(60)]
    assert all(is_whole(content) for content in seen)
    assert len({content[0] for content in seen}) > 1


@pytest.mark.parametrize("blocked", ["store", "store/fold_models", "store/fold_models/city=x/fold=2018-01-01"])
def test_a_file_instead_of_a_folder_makes_the_store_unwritable(tmp_path: Path, blocked: str) -> None:
    (tmp_path / blocked).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / blocked).write_bytes(b"")
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


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen([sys.executable, "-c", *arguments])
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def test_the_files_of_a_partition_come_from_one_process(tmp_path: Path) -> None:
    store, seen, last = Store(str(tmp_path)), set(), b""

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
with Store({str(tmp_path)!r}).alone("city_pages", "town"):
    Path({str(held)!r}).touch()
    signal.pause()
"""
    with process(waiting) as killed:
        wait_until(held.exists, process=killed)
        os.kill(killed.pid, signal.SIGKILL)
        with Store(str(tmp_path)).alone("city_pages", "town"):
            pass
