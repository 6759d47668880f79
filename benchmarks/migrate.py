"""Seconds and peak memory of `shotspotter migrate`: `python benchmarks/migrate.py [--days 1826] [--s3]`.

The store is that of release 0.2.0 in the tests, with its days repeated: rows, grids, issued forecasts, streets, plans, scores
and records of models. `--s3` puts it on an S3 server on this machine. Targets for 1,826 days: 60 s and 400 MB.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path

from shotspotter_assets.storage.objects import Objects, objects_at
from shotspotter_assets.storage.store_format import found_format
from shotspotter_assets_tests.migration.kept_store import unpack
from shotspotter_assets_tests.s3_server import running

FIRST = date(2019, 1, 1)


def main() -> None:
    """Build the store, migrate it, and print seconds and memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=1_826)
    parser.add_argument("--s3", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        kept = unpack(Path(folder)) / "store"
        root = f"{folder}/long_store"
        client = None
        if asked.s3:
            Path(folder, "server").mkdir()
            server = stack.enter_context(running(Path(folder, "server")))
            root = f"s3://{server.bucket}/store"
            client = server.client()
            os.environ |= server.environment()
        objects = objects_at(root, client)
        files = fill(objects, kept, asked.days)
        os.environ["DAGSTER_HOME"] = f"{folder}/nowhere"
        command = [sys.executable, "-m", "shotspotter_assets", "migrate", "--store", root, "--yes"]
        began = time.monotonic()
        subprocess.run(command, check=True)
        seconds = time.monotonic() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(found_format(objects))
    print(f"{asked.days:,} days, {files:,} files, {'S3' if asked.s3 else 'a folder'}: {seconds:.0f} s, "
          f"{used.ru_utime + used.ru_stime:.0f} CPU seconds, peak {used.ru_maxrss / 1024:.0f} MB")  # fmt: skip


def fill(objects: Objects, kept: Path, days: int) -> int:
    """Write the kept store with its days repeated, and return the number of files."""
    written = 0
    with ThreadPoolExecutor(objects.threads) as pool:
        for folder in sorted(path for path in kept.glob("*/city=*") if path.is_dir()):
            place = folder.relative_to(kept)
            files = ((f"{place}/{path}", content) for path, content in repeated(folder, days))
            written += len(list(pool.map(lambda file: objects.write(*file), files)))  # done before the next
    return written


def repeated(folder: Path, days: int) -> Iterator[tuple[str, bytes]]:
    """Yield the files of an asset of a city, with the files of its days for `days` days."""
    by_day: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.is_file() and name.startswith("date="):
            by_day[name[5:15]].append(file)
        elif file.is_file() and file.name != "_lineage.json":
            yield name, file.read_bytes()
    lineage = json.loads((folder / "_lineage.json").read_bytes()) if (folder / "_lineage.json").exists() else {}
    long_lineage = {} if by_day else lineage
    for number in range(days if by_day else 0):
        old = sorted(by_day)[number % len(by_day)]
        new = str(FIRST + timedelta(days=number))
        if old in lineage:
            long_lineage[new] = lineage[old]
        for file in by_day[old]:
            content = file.read_bytes()
            is_text = file.suffix in (".json", ".geojson", ".csv")
            yield f"date={new}/{file.name}", content.replace(old.encode(), new.encode()) if is_text else content
    if lineage:
        yield "_lineage.json", json.dumps(long_lineage).encode()


if __name__ == "__main__":
    main()
