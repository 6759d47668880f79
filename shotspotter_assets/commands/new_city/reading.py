"""Files of alerts as one table with all columns that they share."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from shotspotter_assets.alerts.sources.landing.folder import local_files
from shotspotter_assets.alerts.sources.landing.formats import FORMATS
from shotspotter_assets.alerts.sources.raw_rows import BROKEN, LINE, lines_of
from shotspotter_assets.alerts.sources.tabular_settings import EveryColumn, LandingSettings
from shotspotter_assets.storage.arrays import Booleans
from shotspotter_assets.storage.wording import first_of, number_of


class NewCityError(ValueError):
    """A file that gives no city; the message names the file, column or row, and the remedy."""


class Alerts(NamedTuple):
    """Rows of all files, with the columns that all of them have, `LINE` and `BROKEN`."""

    files: Sequence[Path]
    rows: pa.Table
    first_rows: Sequence[int]  # position of the first row of each file

    def place(self, row: int) -> str:
        """Return the file and the number of a row within it, for messages."""
        number = int(np.searchsorted(self.first_rows, row, side="right")) - 1
        return f"{self.files[number]}, row {self.rows[LINE][row]}"

    @property
    def names(self) -> list[str]:
        """Headings of the files."""
        return [name for name in self.rows.column_names if name not in {BROKEN, LINE}]

    @property
    def is_broken(self) -> Booleans:
        """Flags of rows that do not fit the header; shape (rows,)."""
        return np.asarray(self.rows[BROKEN].is_valid())

    def require(self, is_missing: Booleans, headings: Sequence[str], remedy: str) -> None:
        """Raise NewCityError with the first row that is missing if more than half of the rows are."""
        if is_missing.mean() > 1 / 2:
            row = int(is_missing.argmax())
            values = ", ".join(f"{name} {self.rows[name][row].as_py()!r}" for name in headings)
            raise NewCityError(f"{self.place(row)}: most rows cannot be read, such as {values}. {remedy}.")

    @property
    def title(self) -> str:
        """Names of the files, and number of rows."""
        return f"{first_of([file.name for file in self.files])} ({number_of(self.rows.num_rows, 'row')})"


def read_alerts(path: Path) -> Alerts:
    """Read a file, or the files of a folder; raise NewCityError with the file and the remedy."""
    there = [Path(file.path) for file in local_files(str(path)) if not file.refused] if path.is_dir() else [path]
    files = sorted(file for file in there if file.suffix.lower() in FORMATS)
    if not files:
        raise NewCityError(f"{path} is no file of alerts, and no folder with one ({', '.join(FORMATS)}).")
    tables = [_table(file) for file in files]
    shared = [name for name in tables[0].column_names if all(name in table.column_names for table in tables)]
    if len({table.select(shared).schema for table in tables}) > 1:
        tables = [table.select(shared).cast(pa.schema([(name, pa.string()) for name in shared])) for table in tables]
    rows = pa.concat_tables([table.select(shared) for table in tables])
    first_rows = np.cumsum([0, *(table.num_rows for table in tables[:-1])]).tolist()
    return Alerts(files, rows, first_rows)


def _table(file: Path) -> pa.Table:
    """Return the rows of a file; raise NewCityError if there is none."""
    read, kind = FORMATS[file.suffix.lower()]
    source = LandingSettings(kind="landing", columns=EveryColumn())
    try:
        table = read(file, source)
        if table.num_rows:
            ours = {BROKEN: pa.nulls(table.num_rows, pa.string()), LINE: lines_of(table)}
            return pa.table(ours | {name: table[name] for name in table.column_names})
        reason = "it has no rows"
    except Exception as error:  # whatever a library makes of a foreign file
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
    raise NewCityError(f"{file} cannot be read as {kind} ({reason}). Export it again, such as to CSV.")
