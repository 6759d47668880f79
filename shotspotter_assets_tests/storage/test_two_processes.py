import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shotspotter_assets.storage.store import Partition, Store

PARTITION = Partition("cleaned_alerts", "town")
WRITER = """
import sys, time
from pathlib import Path
from shotspotter_assets.storage.errors import StoreError
from shotspotter_assets.storage.store import Partition, Store
root, name = sys.argv[1:]
store, partition = Store(root), Partition("cleaned_alerts", "town")
ready = Path(root, name)
ready.touch()
while len(list(Path(root).glob("writer_*"))) < 2:
    time.sleep(0.001)
for number in range(40):
    with store.alone("cleaned_alerts", "town"):
        for file in ("rejected", "alerts", "record"):
            store.write_bytes(partition, file, f"{name} {number}".encode() * 1000)
            time.sleep(0.001)
    time.sleep(0.005)  # locks know no queue: who gives one back at once gets it again
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
    store, seen = Store(str(tmp_path)), set()
    with process(WRITER, str(tmp_path), "writer_a") as first, process(WRITER, str(tmp_path), "writer_b") as second:
        while first.poll() is None or second.poll() is None:
            with store.alone("cleaned_alerts", "town"):
                if store.exists(PARTITION, "record"):
                    contents = {store.read_bytes(PARTITION, file) for file in ("rejected", "alerts", "record")}
                    assert len(contents) == 1
                    seen |= contents
            time.sleep(0.001)
        assert first.returncode == second.returncode == 0
    assert {content.split()[0] for content in seen} == {b"writer_a", b"writer_b"}
    assert not list(tmp_path.rglob("*.partial"))


def test_a_killed_process_releases_its_lock(tmp_path: Path) -> None:
    held = tmp_path / "held"
    waiting = f"""
import time
from pathlib import Path
from shotspotter_assets.storage.store import Store
with Store({str(tmp_path)!r}).alone("cleaned_alerts", "town"):
    Path({str(held)!r}).touch()
    time.sleep(600)
"""
    with process(waiting) as killed:
        while not held.exists():
            assert killed.poll() is None
            time.sleep(0.01)
        os.kill(killed.pid, signal.SIGKILL)
        with Store(str(tmp_path)).alone("cleaned_alerts", "town"):
            pass
