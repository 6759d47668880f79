"""Files that exhaust a reader, are damaged, or hold values that no alert has."""

import random
import zipfile
from collections.abc import Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS: Final = ("when", "lon", "lat", "kind", "rounds", "id")
GOOD_CSV: Final = "when,lon,lat,kind,rounds,id\n2024-03-02T17:00:00Z,-76.5,38.5,Single_Gunshot,1,good\n"

MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATION: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
RELATIONS: Final = "http://schemas.openxmlformats.org/package/2006/relationships"

PARTS: Final = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{RELATIONS}"><Relationship Id="rId1" Type="{RELATION}/officeDocument" '
    'Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{RELATION}"><sheets><sheet name="a" sheetId="1" r:id="rId1"/>'
    "</sheets></workbook>",
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{RELATIONS}"><Relationship Id="rId1" '
    f'Type="{RELATION}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
}
"""Parts of a workbook besides its sheet."""


def workbook(path: Path, cell: str, columns: Sequence[str] = COLUMNS, *, places: bool = True) -> None:
    """Write a workbook of a kilobyte with one cell far from the others; without `places`, cells have no addresses."""
    place = 'r="{}1" ' if places else ""
    names = [f"<is><t>{name}</t></is></c>" for name in columns]
    header = "".join(
        f'<c {place.format(letter)}t="inlineStr">{name}' for letter, name in zip(ascii_uppercase, names, strict=False)
    )
    rows = f'<row r="1">{header}</row><row r="2"><c r="{cell}"><v>1</v></c></row>'
    _book(path, f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>')


def equal_rows(path: Path, rows: int, columns: Sequence[str] = COLUMNS) -> None:
    """Write a Parquet file of some hundred kilobytes with any number of rows."""
    group = 1_000_000
    time = pa.repeat(pa.scalar(1_709_398_800_000_000, pa.timestamp("us", "UTC")), group)
    others = (pa.repeat(value, group) for value in (-76.5, 38.5, "Single_Gunshot", 1, "a"))
    table = pa.table(dict(zip(columns, (time, *others), strict=True)))
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for _ in range(rows // group):
            writer.write_table(table)


def zip_bomb(path: Path, megabytes: int) -> None:
    """Write a zipped shapefile whose table is a thousand times larger than the archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("layer.shp", b"")
        with archive.open("layer.dbf", "w") as part:
            for _ in range(megabytes):
                part.write(bytes(2**20))


def flipped_zip(path: Path) -> None:
    """Write a zipped shapefile whose first kilobytes are inverted."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for ending in ("shp", "shx", "dbf"):
            archive.writestr(f"layer.{ending}", random.Random(0).randbytes(2000) + bytes(20_000))
    content = bytearray(path.read_bytes())
    content[100:1900] = bytes(byte ^ 0xFF for byte in content[100:1900])
    path.write_bytes(content)


def _book(path: Path, sheet: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for name, content in {**PARTS, "xl/worksheets/sheet1.xml": sheet}.items():
            book.writestr(name, content)
