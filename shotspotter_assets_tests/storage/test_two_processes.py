import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shotspotter_assets.storage.store import Partition, Store
from shotspotter_assets_tests.waiting import wait_until

PARTITION = Partition("cleaned_alerts", "town")
WRITER = """
import sys
from shotspotter_assets.storage.store import Partition, Store
from shotspotter_assets_tests.waiting import wait_until
root, name = sys.argv[1:]
store, partition = Store(root), Partition("cleaned_alerts", "town")
for number in range(40):
    with store.alone("cleaned_alerts", "town"):
        for file in ("rejected", "alerts", "record"):
            store.write_bytes(partition, file, f"{name} {number} ".encode() * 1000)
    if number < 39:  # the other one begins next, as a lock has no queue
        wait_until(lambda: not store.read_bytes(partition, "rejected").startswith(name.encode()), every=0.001)
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
        return store.exists(PARTITION, "rejected") and store.read_bytes(PARTITION, "rejected") != last

    with process(WRITER, str(tmp_path), "writer_a") as first, process(WRITER, str(tmp_path), "writer_b") as second:
        while first.poll() is None or second.poll() is None:
            with store.alone("cleaned_alerts", "town"):
                if store.exists(PARTITION, "record"):
                    contents = {store.read_bytes(PARTITION, file) for file in ("rejected", "alerts", "record")}
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
with Store({str(tmp_path)!r}).alone("cleaned_alerts", "town"):
    Path({str(held)!r}).touch()
    signal.pause()
"""
    with process(waiting) as killed:
        wait_until(held.exists, process=killed)
        os.kill(killed.pid, signal.SIGKILL)
        with Store(str(tmp_path)).alone("cleaned_alerts", "town"):
            pass
