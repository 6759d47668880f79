"""Files of alerts as one table, and their columns of time, place, type and id."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.alerts.sources.landing.folder import local_files
from shotspotter_assets.alerts.sources.landing.formats import FORMATS
from shotspotter_assets.alerts.sources.raw_rows import BROKEN, LINE, lines_of, read_coordinates
from shotspotter_assets.alerts.sources.tabular_settings import Columns, EveryColumn, LandingSettings
from shotspotter_assets.alerts.sources.written_times import CLOCK, read_times
from shotspotter_assets.alerts.spellings import SPELLINGS, normalised
from shotspotter_assets.storage.arrays import Booleans
from shotspotter_assets.storage.progress import steps
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
    tables = [_table(file) for file in steps("file", files, "reading alerts")]
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


COLUMN: Final = "--column "  # beginning of the option that names a column, followed by `OURS=`
SAMPLE_ROWS: Final = 2_000  # rows by whose values columns of times and coordinates are recognised
MIN_SHARE: Final = 0.9  # minimum share of times of day and of epoch numbers, of the values that are not empty
MIN_UNIQUE: Final = 0.99  # minimum share of distinct values of an id
MIN_KNOWN: Final = 0.5  # minimum share of readable times, of numbers among coordinates, and of known gunshot types
WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
WORDS: Final = {
    "shot": "shot occurred occurrence incident event alert start begin fired datetime flex",
    "office": "report reported received created updated modified edited published cleared closed dispatched dispatch arrived"
    " arrival call end ended load loaded upload uploaded entered",
    "time": "time date datetime timestamp occurred epoch",
    "gunshot_type": "type kind class classification category nature offense description label",
    "rounds": "round rounds",
    "source_id": "id number num no nbr key case uid uuid guid",
}
"""Words of headings: those of the shot and of other steps of an alert, and those of columns."""
COORDINATES: Final = {"longitude lon lng long": "latitude lat", "easting": "northing", "xcoord": "ycoord", "x": "y"}
"""Words of headings of coordinates to the east and to the north, those of degrees first."""
DATES: Final = r"\d[-/. ]+\w+[-/. ,]+\d|[A-Za-z]{3,9}[-/. ]+\d+[-/. ,]+\d|^\d{8}"  # 13/7/2018, 13-Jul-18, Jul 13, 2018
CLOCKS: Final = rf"^(?:{CLOCK}|\d{{1,2}}[0-5]\d$)"  # 9:30, 930 or 0930
EPOCHS: Final = {r"^\d{9,10}(\.\d*)?$": "epoch_s", r"^\d{12,13}(\.\d*)?$": "epoch_ms"}


class Question(Exception):  # noqa: N818  # it asks for an answer, not for a correction
    """Something that the file leaves open, and the `option` of the command line that answers it."""

    def __init__(self, option: str, text: str, choices: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.option = option
        self.choices = choices


def find_columns(alerts: Alerts, answers: Mapping[str, str]) -> dict[str, str]:
    """Return headings by our names, as answered or found; raise Question if several fit, and NewCityError if none does."""
    names = alerts.names
    given = {key.removeprefix(COLUMN).rstrip("="): value for key, value in answers.items() if key.startswith(COLUMN)}
    for ours, theirs in given.items():
        if theirs not in names or ours not in Columns.model_fields:
            raise NewCityError(f"{COLUMN}{ours}={theirs}: {alerts.files[0]} has the columns {', '.join(names)}.")
    found = dict(given)
    sample = alerts.rows.select(names).slice(0, SAMPLE_ROWS)
    if "time" not in given:
        found |= _times(alerts, sample)
    if not {"longitude", "latitude"} <= given.keys():
        found |= _coordinates(alerts, sample)
    left = [name for name in sorted(names) if name not in found.values()]
    found = _optional(alerts.rows.select(left)) | found
    return {ours: found[ours] for ours in Columns.model_fields if ours in found}


def epoch_unit(column: pa.ChunkedArray) -> str | None:
    """Return the `time_format` of epoch numbers; None for other times."""
    return next((unit for form, unit in EPOCHS.items() if _share(column, form) >= MIN_SHARE), None)


def _has(heading: str, words: str) -> int:
    """Return how many of the words a heading has: flex and id for FlexID, Flex ID or FLEX_ID."""
    return len({word.lower() for word in WORD.findall(heading)} & set(words.split()))


def _times(alerts: Alerts, sample: pa.Table) -> dict[str, str]:
    """Return the column of the shots' times, or those of their dates and times of day."""
    times = [name for name in sample.column_names if _is_time(name, sample[name])]
    dates = {name for name in times if not _share(sample[name], r":|^\d{9,}")}
    clocks = [name for name in sample.column_names if name not in times and _share(sample[name], CLOCKS) >= MIN_SHARE]
    clocks = [name for name in clocks if _has(name, "time clock hour")]

    def rank(name: str) -> tuple[int, bool]:
        return (2 if _has(name, WORDS["office"]) else int(not _has(name, WORDS["shot"]))), name in dates

    time = _first(alerts, "time", times, rank)
    if time not in dates or not clocks:
        return {"time": time}
    return {"time": time, "time_of_day": _first(alerts, "time_of_day", clocks, lambda name: -_has(name, time.lower()))}


def _is_time(name: str, column: pa.ChunkedArray) -> bool:
    values = column.drop_null()
    if epoch_unit(column):
        return bool(_has(name, WORDS["time"]))
    if not pa.types.is_string(column.type) or _share(values, DATES) < MIN_KNOWN:
        return bool(pa.types.is_temporal(column.type))
    readings = read_times(values, None, LandingSettings(kind="landing", columns=Columns(time=name)), name)
    return bool(np.mean(~np.isnat(readings).all(axis=0)) >= MIN_KNOWN)


def _coordinates(alerts: Alerts, sample: pa.Table) -> dict[str, str]:
    """Return the columns of longitude and latitude, or of x and y."""
    numbers = [name for name in sample.column_names if _is_coordinate(sample[name])]
    # The geometry of GeoJSON repeats coordinates that are properties, too.
    numbers = list({name.lower(): name for name in sorted(numbers, reverse=True)}.values())
    pairs = [[[name for name in numbers if _has(name, word)] for word in pair] for pair in COORDINATES.items()]
    names = dict(zip(("longitude", "latitude"), next(filter(all, pairs), pairs[0]), strict=True))
    return {
        ours: _first(alerts, ours, fitting, lambda name: len(WORD.findall(name))) for ours, fitting in names.items()
    }


def _is_coordinate(column: pa.ChunkedArray) -> bool:
    is_time = pa.types.is_temporal(column.type)
    return not is_time and read_coordinates(column).null_count <= (1 - MIN_KNOWN) * len(column)


def _optional(rows: pa.Table) -> dict[str, str]:
    """Return the columns of gunshot types, rounds and ids, where there are any."""

    def known(name: str) -> float:
        counts = pc.value_counts(rows[name].cast(pa.string()).drop_null()).to_pylist()
        spelt = sum(pair["counts"] for pair in counts if normalised(pair["values"]) in SPELLINGS)
        return float(spelt / max(sum(pair["counts"] for pair in counts), 1))

    def is_unique(name: str) -> bool:
        is_number = pa.types.is_floating(rows[name].type)
        return not is_number and pc.count_distinct(rows[name]).as_py() >= MIN_UNIQUE * rows.num_rows

    fitting = {ours: [name for name in rows.column_names if _has(name, WORDS[ours])] for ours in list(WORDS)[-3:]}
    # ArcGIS numbers its objects anew in each export.
    ids = [name for name in fitting["source_id"] if not _has(name, "object") and is_unique(name)]
    best = {
        "gunshot_type": max(
            (name for name in fitting["gunshot_type"] if known(name) >= MIN_KNOWN), key=known, default=None
        ),
        "rounds": next((name for name in fitting["rounds"] if _is_coordinate(rows[name])), None),
        "source_id": min(ids, key=lambda name: (not _has(name, WORDS["shot"]), len(name)), default=None),
    }
    return {ours: name for ours, name in best.items() if name is not None}


def _share(column: pa.ChunkedArray, form: str) -> float:
    """Return the share of values, of those that are not empty, whose text has a form."""
    texts = pc.utf8_trim_whitespace(column.cast(pa.string()).drop_null())
    return pc.mean(pc.match_substring_regex(texts, form).cast(pa.float64())).as_py() or 0.0


def _first(alerts: Alerts, ours: str, names: Iterable[str], rank: Callable[[str], Any]) -> str:
    """Return the column of the lowest rank; raise Question if several have it, and NewCityError if there is no column."""
    ranks = {name: rank(name) for name in sorted(names)}
    best = [name for name in ranks if ranks[name] == min(ranks.values())]
    if len(best) > 1:
        raise Question(f"{COLUMN}{ours}=", f"Several columns may be the {ours}: {', '.join(best)}. Which is it?", best)
    if not best:
        problem = f"{alerts.title}: no column of {ours} is found in {', '.join(alerts.names)}"
        remedy = f"Name one with --column {ours}=COLUMN, or add it to all files"
        raise NewCityError(f"{problem}. {remedy}.")
    return best[0]
