"""Files of alerts as one table with all columns that they share, in parts if they are large."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from shotspotter_assets.arrays import Booleans
from shotspotter_assets.sources.landing.folder import local_files
from shotspotter_assets.sources.landing.formats import FORMATS
from shotspotter_assets.sources.row_texts import BROKEN
from shotspotter_assets.sources.tabular_settings import EveryColumn, LandingSettings
from shotspotter_assets.wording import first_of, number_of

MAX_BYTES: Final = 64 * 2**20  # maximum of a file that is read whole: half a million rows as CSV
PARTS: Final = 32  # parts of a larger file that are read, from its beginning to its end
PART_BYTES: Final = 2**20
LINES: Final = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson")  # formats of which parts can be read


class NewCityError(ValueError):
    """A file that gives no city; the message names the file, column or row, and the remedy."""


class Alerts(NamedTuple):
    """Rows of all files, with the columns that all of them have."""

    files: Sequence[Path]
    rows: pa.Table
    first_rows: Sequence[int]  # position of the first row of each file
    lacking: str  # columns that some files lack, in words; empty if all have the same

    def place(self, row: int) -> str:
        """Return the file and the number of a row within it, for messages."""
        number = int(np.searchsorted(self.first_rows, row, side="right")) - 1
        return f"{self.files[number]}, row {row - self.first_rows[number]}"

    def require(self, is_missing: Booleans, headings: Sequence[str], remedy: str) -> None:
        """Raise NewCityError with the first row that is missing if more than half of the rows are."""
        if is_missing.mean() > 1 / 2:
            row = int(is_missing.argmax())
            values = ", ".join(f"{name} {self.rows[name][row].as_py()!r}" for name in headings)
            raise NewCityError(f"{self.place(row)}: most rows cannot be read, such as {values}. {remedy}.")

    @property
    def title(self) -> str:
        """Names of the files, and number of rows."""
        return f"{first_of([file.name for file in self.files])} ({number_of(self.rows.num_rows, 'row')} read)"


def read_alerts(path: Path) -> Alerts:
    """Read a file, or the files of a folder; raise NewCityError with the file and the remedy."""
    there = [Path(file.path) for file in local_files(str(path)) if not file.refused] if path.is_dir() else [path]
    files = sorted(file for file in there if file.suffix.lower() in FORMATS)
    if not files:
        raise NewCityError(f"{path} is no file of alerts, and no folder with one ({', '.join(FORMATS)}).")
    tables = [_table(file) for file in files]
    names = dict.fromkeys(name for table in tables for name in table.column_names if name != BROKEN)
    shared = [name for name in names if all(name in table.column_names for table in tables)]
    if len({table.select(shared).schema for table in tables}) > 1:
        tables = [table.select(shared).cast(pa.schema([(name, pa.string()) for name in shared])) for table in tables]
    lacking = [
        f"{file} lacks {', '.join(missing)}"
        for file, table in zip(files, tables, strict=True)
        if (missing := [name for name in names if name not in table.column_names])
    ]
    rows = pa.concat_tables([table.select(shared) for table in tables])
    first_rows = np.cumsum([0, *(table.num_rows for table in tables[:-1])]).tolist()
    return Alerts(files, rows, first_rows, first_of(lacking))


def _table(file: Path) -> pa.Table:
    """Return the rows of a file, or of parts of a large one; raise NewCityError if there is none."""
    read, kind = FORMATS[file.suffix.lower()]
    source = LandingSettings(kind="landing", columns=EveryColumn())
    try:
        with TemporaryDirectory(prefix="shotspotter-new-city-") as folder:
            table = read(file if file.stat().st_size <= MAX_BYTES else _parts(file, Path(folder)), source)
        if table.num_rows:
            return table
        reason = "it has no rows"
    except Exception as error:  # whatever a library makes of a foreign file
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
    raise NewCityError(f"{file} cannot be read as {kind} ({reason}). Export it again, such as to CSV.")


def _parts(file: Path, folder: Path) -> Path:
    """Write the header and whole lines from all parts of a large file; raise ValueError for a format without lines."""
    size = file.stat().st_size
    if file.suffix.lower() not in LINES:
        raise ValueError(f"of {size / 2**20:,.0f} MiB; parts can be read of CSV only")
    copy = folder / file.name
    with file.open("rb") as whole, copy.open("wb") as parts:
        parts.write(whole.readline())
        for start in np.linspace(whole.tell() - 1, size - PART_BYTES, PARTS).astype(int):
            whole.seek(start)
            whole.readline()
            parts.write(whole.read(PART_BYTES).rpartition(b"\n")[0] + b"\n")
    return copy
