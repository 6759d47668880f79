"""Files that are made to harm who reads them."""

import io
import zipfile
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = ("when", "lon", "lat", "kind", "rounds", "id")
GOOD_CSV = "when,lon,lat,kind,rounds,id\n2024-03-02T17:00:00Z,-76.5,38.5,Single_Gunshot,1,good\n"


def workbook(path: Path, cell: str) -> None:
    """A workbook of a few kilobytes with one cell far from the others."""
    book = openpyxl.Workbook()
    book.active.append(COLUMNS)
    book.active["H2"] = 1
    content = io.BytesIO()
    book.save(content)
    with zipfile.ZipFile(content) as whole, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as moved:
        for name in whole.namelist():
            moved.writestr(name, whole.read(name).replace(b'r="H2"', f'r="{cell}"'.encode()))


def equal_rows(path: Path, rows: int) -> None:
    """A Parquet file of some hundred kilobytes with any number of rows."""
    group = 1_000_000
    table = pa.table(
        {
            "when": pa.repeat(pa.scalar(1_709_398_800_000_000, pa.timestamp("us", "UTC")), group),
            "lon": pa.repeat(-76.5, group),
            "lat": pa.repeat(38.5, group),
            "kind": pa.repeat("Single_Gunshot", group),
            "rounds": pa.repeat(1, group),
            "id": pa.repeat("a", group),
        }
    )
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
