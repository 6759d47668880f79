"""Files that harm who reads them, are damaged on their way, or hold what no alert can be."""

import os
import random
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from shotspotter_assets.rehearsal.cities import COLUMNS

Outcome = Literal["refused", "in transfer", "rejected", "taken"]
"""The file is named and told of; it is left alone, and named; its rows are received and rejected; or become alerts."""

ROWS: Final = 3
"""Of a file that can be read."""

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
"""Of a workbook, but for its sheet."""


def workbook(path: Path, cell: str, columns: Sequence[str] = COLUMNS, *, places: bool = True) -> None:
    """A workbook of a kilobyte with one cell far from the others, which may leave out where they are."""
    place = 'r="{}1" ' if places else ""
    names = [f"<is><t>{name}</t></is></c>" for name in columns]
    header = "".join(
        f'<c {place.format(letter)}t="inlineStr">{name}' for letter, name in zip(ascii_uppercase, names, strict=False)
    )
    rows = f'<row r="1">{header}</row><row r="2"><c r="{cell}"><v>1</v></c></row>'
    _book(path, f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>')


def equal_rows(path: Path, rows: int, columns: Sequence[str] = COLUMNS) -> None:
    """A Parquet file of some hundred kilobytes with any number of rows."""
    group = 1_000_000
    time = pa.repeat(pa.scalar(1_709_398_800_000_000, pa.timestamp("us", "UTC")), group)
    others = (pa.repeat(value, group) for value in (-76.5, 38.5, "Single_Gunshot", 1, "a"))
    table = pa.table(dict(zip(columns, (time, *others), strict=True)))
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
    """A zipped shapefile whose first kilobytes have all their bits turned over."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for ending in ("shp", "shx", "dbf"):
            archive.writestr(f"layer.{ending}", random.Random(0).randbytes(2000) + bytes(20_000))  # noqa: S311 - no secret
    content = bytearray(path.read_bytes())
    content[100:1900] = bytes(byte ^ 0xFF for byte in content[100:1900])
    path.write_bytes(content)


@dataclass(frozen=True)
class Place:
    """Where and when the alerts of a hostile file are."""

    day: date
    longitude: float
    latitude: float

    def rows(self, stem: str, **other: Any) -> dict[str, list[Any]]:
        """`ROWS` alerts by column, with ids of their own, of which some columns have another value."""
        minute = sum(stem.encode()) % 60  # of two files at one moment, the alerts would count as the same
        times = [f"{self.day}T0{hour}:{minute:02}:00" for hour in range(1, 1 + ROWS)]
        alert = {"longitude": self.longitude, "latitude": self.latitude, "alert_type": "Single_Gunshot", "rounds": 1}
        return {
            "occurred_at": times,
            **{name: [value] * ROWS for name, value in (alert | other).items()},
            "source_id": ids_of(stem),
        }


def ids_of(stem: str) -> list[str]:
    """Ids of the rows of a file that can be read."""
    return [f"{stem} {number}" for number in range(ROWS)]


def _csv(path: Path, columns: dict[str, list[Any]]) -> None:
    lines = [
        ",".join(columns),
        *(",".join(f'"{value}"' for value in row) for row in zip(*columns.values(), strict=True)),
    ]
    path.write_text("\n".join(lines) + "\n")


def _parquet(path: Path, columns: dict[str, Any]) -> None:
    pq.write_table(pa.table(columns), path)


def _cut(path: Path, place: Place) -> None:
    _parquet(path, place.rows("cut"))
    path.write_bytes(path.read_bytes()[:-20])


def _entities(path: Path) -> None:
    """A workbook whose text refers to itself in tenfold steps."""
    bomb = "".join(
        f'<!ENTITY a{level} "{f"&a{level - 1};" * 10}">' if level else '<!ENTITY a0 "ha">' for level in range(10)
    )
    _book(path, f'<?xml version="1.0"?><!DOCTYPE worksheet [{bomb}]><worksheet>&a9;</worksheet>')


def _book(path: Path, sheet: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for name, content in {**PARTS, "xl/worksheets/sheet1.xml": sheet}.items():
            book.writestr(name, content)


Make = Callable[[Path, Place], object]


@dataclass(frozen=True)
class HostileFile:
    """One entry of the library."""

    make: Make
    outcome: Outcome = "refused"


LIBRARY: Final[dict[str, HostileFile]] = {
    "far_cell.xlsx": HostileFile(lambda path, _: workbook(path, "XFD1048576")),
    "cell_beyond.xlsx": HostileFile(lambda path, _: workbook(path, "A99999999999")),
    "entities.xlsx": HostileFile(lambda path, _: _entities(path)),
    "equal_rows.parquet": HostileFile(lambda path, _: equal_rows(path, 16_000_000)),
    "bomb.zip": HostileFile(lambda path, _: zip_bomb(path, megabytes=64)),
    "flipped.zip": HostileFile(lambda path, _: flipped_zip(path)),
    "cut.parquet": HostileFile(_cut),
    "no_parquet.parquet": HostileFile(lambda path, _: path.write_bytes(b"PAR1 nothing")),
    "lists.parquet": HostileFile(lambda path, place: _parquet(path, place.rows("lists") | {"source_id": [["a"]] * ROWS})),
    "structs.parquet": HostileFile(
        lambda path, place: _parquet(path, place.rows("structs") | {"latitude": [{"a": 1}] * ROWS})
    ),
    "no_columns.csv": HostileFile(lambda path, _: path.write_text("a,b\n1,2\n")),
    "half_a_header.csv": HostileFile(lambda path, _: path.write_bytes(b"occurred_at,longitude\n\x00\xff\xfe\x00 the")),
    "deep.geojson": HostileFile(lambda path, _: path.write_text("[" * 200_000)),
    "program.exe": HostileFile(lambda path, _: path.write_bytes(b"MZ" + bytes(1000))),
    "<img src=x onerror=alert(1)>.csv": HostileFile(lambda path, _: path.write_text("<script>alert(1)</script>\n1\n")),
    "passwords.csv": HostileFile(lambda path, _: path.symlink_to("/etc/passwd")),
    "loop": HostileFile(lambda path, _: path.symlink_to(path.parent)),
    "nowhere.csv": HostileFile(lambda path, _: path.symlink_to("nothing")),
    os.fsdecode(b"caf\xe9.csv"): HostileFile(lambda path, place: _csv(path, place.rows("cafe"))),
    "upload.csv.part": HostileFile(lambda path, _: path.write_text("occurred_at,long"), "in transfer"),
    "nowhere_on_earth.csv": HostileFile(
        lambda path, place: _csv(
            path,
            place.rows("nowhere_on_earth") | {"longitude": ["1e308", "nan", "181"], "latitude": ["-1e308", "", "91"]},
        ),
        "rejected",
    ),
    "types.csv": HostileFile(
        lambda path, place: _csv(path, place.rows("types", alert_type="<script>alert(1)</script>")), "taken"
    ),
    "bytes.csv": HostileFile(lambda path, place: _csv(path, place.rows("bytes", rounds="9" * 400)), "taken"),
}  # fmt: skip
"""By name. Files are as large as needed for the harm that they do, and made anew each time."""


def shown(name: str) -> str:
    """A file's name as texts show it."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
