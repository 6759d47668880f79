"""Files in another time zone: their rows repeat those of a file received before, a whole number of hours off."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import PurePosixPath
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.arrays import Integers
from shotspotter_assets.sources.alert_source import SourceError
from shotspotter_assets.sources.landing.received import Received, ReceivedFile, by_receipt, corrected_day
from shotspotter_assets.sources.schema import RAW_SCHEMA

MAX_SHIFT_HOURS: Final = 14
HOURS_OF_TIME: Final = 10_000_000  # more hours than any time has since 1970
MIN_SHIFTED_ROWS: Final = 5
MIN_SHIFTED_SHARE: Final = 0.5  # minimum share of rows, whole hours off others', that sets a file aside
COLUMNS: Final = ["time_utc", "longitude", "latitude", "gunshot_type"]


class Shift(NamedTuple):
    """Rows of a file that repeat those of another file."""

    rows: int
    other: str  # path of the other file
    hours: int  # positive for later times than those of the other file


def judge_times(files: Received, before: Received, read: Callable[[str, ReceivedFile], pa.Table]) -> Received:
    """Return the files with the evidence that some are in another zone, given those `before` a reading.

    Only files with rows on the days of changed files are compared; `read` returns a file's rows, `RAW_SCHEMA`.
    """
    changed = {path for path in files if files[path] != before.get(path)}
    lost = {path: file for path, file in before.items() if path not in files}
    beside = _overlapping({**files, **lost}, changed | lost.keys()) - lost.keys()
    compared = {path: files[path] for path in _overlapping(files, beside) if files[path].rows_from is not None}
    holders = _first_holders(compared)
    shifted = shifted_files(_rows_of_holders(compared, holders, read), compared)
    with_evidence = {
        path: files[path].model_copy(update={"shifted": _evidence_against(path, files[path], holders, shifted)})
        for path in beside
        if corrected_day(path) is None
    }
    return {**files, **with_evidence}


def shifted_files(tables: Mapping[str, pa.Table], files: Received) -> dict[str, str]:
    """Return evidence against files whose rows repeat those of files received before, a whole number of hours off.

    `tables` holds the rows of files by path, each day and version only once.
    """
    with_rows = {path: table for path, table in tables.items() if table.num_rows}
    if len(with_rows) < 2:
        return {}
    suspects = {path: max(shifts) for path, shifts in _shifts_by_file(_CodedRows.of(with_rows), files).items()}
    return {
        path: f"{shift.rows:,} of {files[path].rows:,} rows repeat rows of {PurePosixPath(shift.other).name} "
        f"{abs(shift.hours)} hours {'later' if shift.hours > 0 else 'earlier'}, so its times are probably in another zone"
        for path, shift in suspects.items()
        if shift.other not in suspects or (files[path].received, path) > (files[shift.other].received, shift.other)
    }


@dataclass(frozen=True)
class _CodedRows:
    """Rows as numbers: rows at one point, of one type and at one second of the hour differ by their distance in hours."""

    codes: Integers  # shape (rows,)
    files: Integers  # index into `paths`, shape (rows,)
    paths: tuple[str, ...]

    @classmethod
    def of(cls, tables: Mapping[str, pa.Table]) -> "_CodedRows":
        """Return the rows with a time and a point."""
        import pandas as pd

        frames = [table.select(COLUMNS).to_pandas().assign(file=path) for path, table in tables.items()]
        rows = pd.concat(frames, ignore_index=True).dropna(subset=["time_utc", "longitude", "latitude"])
        seconds = rows["time_utc"].dt.tz_localize(None).to_numpy().astype("datetime64[s]").astype(np.int64)
        points = [rows[name].round(5) for name in ("longitude", "latitude")]
        groups = rows.groupby([*points, rows["gunshot_type"].fillna(""), seconds % 3600], sort=False).ngroup()
        files, paths = pd.factorize(rows["file"])
        return cls(groups.to_numpy() * HOURS_OF_TIME + seconds // 3600, files, tuple(paths))

    @cached_property
    def _first_and_last_files(self) -> tuple[Integers, Integers, Integers]:
        """Codes in order, and the first and the last file with each."""
        import pandas as pd

        of_code = pd.DataFrame({"code": self.codes, "file": self.files}).groupby("code")["file"].agg(["min", "max"])
        return of_code.index.to_numpy(), of_code["min"].to_numpy(), of_code["max"].to_numpy()

    def other_files(self, hours: int) -> Integers:
        """Return the index of another file with each row so many hours earlier, -1 for none; shape (rows,)."""
        codes, first, last = self._first_and_last_files
        wanted = self.codes - hours
        place = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
        other = np.where(first[place] != self.files, first[place], last[place])
        return np.where((codes[place] == wanted) & (other != self.files), other, -1)


def _shifts_by_file(rows: _CodedRows, files: Received) -> dict[str, list[Shift]]:
    """Return the shifts of most rows of a file, by its path; rows that another file has at the same time are none."""
    shifts: dict[str, list[Shift]] = {}
    is_repeated = rows.other_files(0) >= 0
    for hours in (*range(-MAX_SHIFT_HOURS, 0), *range(1, MAX_SHIFT_HOURS + 1)):
        other = np.where(is_repeated, -1, rows.other_files(hours))
        pairs = Counter(zip(rows.files[other >= 0].tolist(), other[other >= 0].tolist(), strict=True))
        for (file, other_file), number in pairs.items():
            path = rows.paths[file]
            if number >= MIN_SHIFTED_ROWS and number >= MIN_SHIFTED_SHARE * files[path].rows:
                shifts.setdefault(path, []).append(Shift(number, rows.paths[other_file], hours))
    return shifts


def _overlapping(files: Received, paths: Collection[str]) -> set[str]:
    """Return `paths` and the files with rows on a day of one of them, or on the day before or after."""
    days = {day.toordinal() + more for path in paths for day in files[path].days for more in (-1, 0, 1)}
    return {path for path, file in files.items() if path in paths or any(day.toordinal() in days for day in file.days)}


def _first_holders(files: Received) -> dict[tuple[date, str], str]:
    """Return the file that first held the rows of a day and version; no correction, which repeats what it replaces."""
    uncorrected = [path for path in reversed(by_receipt(files)) if corrected_day(path) is None]
    return {(day, version): path for path in uncorrected for day, (version, _) in files[path].days.items()}


def _rows_of_holders(
    files: Received, holders: Mapping[tuple[date, str], str], read: Callable[[str, ReceivedFile], pa.Table]
) -> dict[str, pa.Table]:
    """Return the rows of each file on the days of which it is the first holder."""

    def tables() -> Iterator[tuple[str, pa.Table]]:
        for path, file in files.items():
            days = [day for day, (version, _) in file.days.items() if holders.get((day, version)) == path]
            with suppress(SourceError):  # lost rows are read again the next time
                rows = read(path, file) if days else RAW_SCHEMA.empty_table()
                yield path, rows.filter(pc.is_in(rows["date"], pa.array(days, pa.date32())))

    return dict(tables())


def _evidence_against(
    path: str, file: ReceivedFile, holders: Mapping[tuple[date, str], str], shifted: Mapping[str, str]
) -> str:
    """Return the evidence against a file, or against the first holder of most of its rows."""
    rows_of = Counter[str]()
    for day, (version, number) in file.days.items():
        rows_of[holders.get((day, version), path)] += number
    likely = [holder for holder, rows in rows_of.items() if rows >= MIN_SHIFTED_SHARE * file.rows]
    return next((shifted[holder] for holder in [path, *likely] if holder in shifted), "")
