import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shotspotter_assets.storage.catalogue import PAGE
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.waiting import wait_until

FILES = [PAGE.named(file=name) for name in ("rejected", "alerts", "record")]
WRITER = """
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

    with process(WRITER, str(tmp_path), "writer_a") as first, process(WRITER, str(tmp_path), "writer_b") as second:
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
