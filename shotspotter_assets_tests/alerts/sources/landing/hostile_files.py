"""Files that harm the process that reads them, and readers with a fault."""

import os
import random
import signal
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from shotspotter_assets.alerts.sources.landing.reader import Batch, Task

COLUMNS: Final = ("when", "lon", "lat", "kind", "rounds", "id")
GOOD_CSV: Final = "when,lon,lat,kind,rounds,id\n2024-03-02T17:00:00Z,-76.5,38.5,Single_Gunshot,1,good\n"


def workbook(path: Path, cell: str) -> None:
    """A workbook of a few kilobytes with one cell far from the others."""
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(COLUMNS)
    book.active[cell] = 1
    book.save(path)


def equal_rows(path: Path, rows: int) -> None:
    """A Parquet file of some hundred kilobytes with any number of rows."""
    group = 1_000_000
    moment = pa.repeat(pa.scalar(1_709_398_800_000_000, pa.timestamp("us", "UTC")), group)
    others = (pa.repeat(value, group) for value in (-76.5, 38.5, "Single_Gunshot", 1, "a"))
    table = pa.table(dict(zip(COLUMNS, (moment, *others), strict=True)))
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for _ in range(rows // group):
            writer.write_table(table)


def zip_bomb(path: Path, megabytes: int) -> None:
    """A zipped shapefile whose table is a thousand times larger than the archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("layer.shp", b"")
        with archive.open("layer.dbf", "w") as part:
            for _ in range(megabytes):
                part.write(bytes(2**20))


def flipped_zip(path: Path) -> None:
    """A zipped shapefile whose first kilobytes have all their bits inverted."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for ending in ("shp", "shx", "dbf"):
            archive.writestr(f"layer.{ending}", random.Random(0).randbytes(2000) + bytes(20_000))
    content = bytearray(path.read_bytes())
    content[100:1900] = bytes(byte ^ 0xFF for byte in content[100:1900])
    path.write_bytes(content)


class FaultyBatch(Batch):
    """A batch in which the reader of one file has a fault, named after the file's folder."""

    def read(self, task: Task) -> pa.Table:
        if task.path.endswith("faulty.csv"):
            folder = task.content.parent
            (folder / f"attempt_{time.time_ns()}").touch()
            FAULTS[folder.name](folder)
        return super().read(task)


def killed_once(folder: Path) -> None:
    if len(list(folder.glob("attempt_*"))) == 1:
        os.kill(os.getpid(), signal.SIGKILL)


FAULTS: Final[dict[str, Callable[[Path], Any]]] = {
    "killed_once": killed_once,
    "killed": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "aborting": lambda _: os.abort(),
    "hanging": lambda _: signal.pause(),
    "greedy": lambda _: bytearray(2**31),
    "odd": lambda _: dict[str, int]()["nothing"],
}
