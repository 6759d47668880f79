"""What lands when: the days one by one, out of order, late, corrected, empty, corrupt and mended."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from shotspotter_assets.rehearsal.cities import DAILY, FILE_DATE, HISTORY, RehearsedCity

Kind = Literal["daily", "out of order", "late", "corrected", "empty", "corrupt", "mended", "published"]
"""The last one is no file: rows of the day that a layer shows."""

MIN_DAYS: Final = 4
CORRUPT_BYTES: Final = b"occurred_at,longitude\n\x00\xff\xfe\x00 the transfer broke he"


@dataclass(frozen=True)
class Drop:
    """One file that lands."""

    day: date
    kind: Kind

    @property
    def is_readable(self) -> bool:
        """Whether its day can be made of it."""
        return self.kind != "corrupt"


def steps_of(days: list[date]) -> list[list[Drop]]:
    """What lands in each step; every day has one readable file in the end, and one of them is corrected later.

    Four days are enough for everything; of more, most land as they should.
    """
    count = len(days)
    if count < MIN_DAYS:
        raise SystemExit(f"--days is {count}: a rehearsal of everything that goes wrong needs {MIN_DAYS} at least.")
    corrected, swapped, empty, corrupt = days[0], days[1], days[2], days[-1]
    if count >= 8:
        empty, corrupt = days[-2], days[-3]
    steps: list[list[Drop]] = []
    for day in days:
        if day == swapped:
            continue
        kind: Kind = "empty" if day == empty else "corrupt" if day == corrupt else "daily"
        steps.append([Drop(day, kind)])
        if day == swapped + timedelta(days=1):
            steps.append([Drop(swapped, "out of order")])
    if count >= 8:  # one day that comes together with the next one
        late = days[4]
        number = next(number for number, step in enumerate(steps) if step[0].day == late)
        steps[number : number + 2] = [[Drop(late, "late"), *steps[number + 1]]]
    steps[-1 if count < 8 else count // 2 + 1].append(Drop(corrected, "corrected"))
    broken = next(number for number, step in enumerate(steps) if any(not drop.is_readable for drop in step))
    steps.insert(broken + 1, [Drop(corrupt, "mended")])
    return steps


def land_history(landing: Path, city: RehearsedCity, first: date, eve: date) -> None:
    """One big file up to the day before `eve`, and the daily file of `eve`."""
    write_whole(landing / city.name / HISTORY / "history.csv", csv_of(city.of_days(first, eve - timedelta(days=1))))
    write_whole(_daily(landing, city, eve), csv_of(city.of_days(eve, eve)))


def land(landing: Path, city: RehearsedCity, drop: Drop) -> Path:
    """Put a file into place at once, as a transfer that renames it when it is over."""
    rows = city.of_days(drop.day, drop.day)
    if drop.kind == "empty":
        rows = rows.slice(0, 0)
    elif drop.kind == "corrected":
        rows = corrected(rows, city, drop.day, "corrected")
    path = _daily(landing, city, drop.day)
    write_whole(path, CORRUPT_BYTES if drop.kind == "corrupt" else csv_of(rows))
    return path


def _daily(landing: Path, city: RehearsedCity, day: date) -> Path:
    return landing / city.name / DAILY / f"{day.strftime(FILE_DATE)}.csv"


def corrected(rows: pa.Table, city: RehearsedCity, day: date, source_id: str, minutes: int = 5) -> pa.Table:
    """The rows after the publisher has looked again: one alert more, some minutes after noon."""
    extra = city.alerts.slice(city.alerts.num_rows // 2, 1).to_pylist()[0]
    noon = pa.scalar(day).cast(pa.timestamp("us")).as_py() + timedelta(hours=12, minutes=minutes)
    again = pa.Table.from_pylist([extra | {"occurred_at": noon, "source_id": source_id}], rows.schema)
    return pa.concat_tables([rows, again])


def csv_of(rows: pa.Table) -> bytes:
    """Alerts as a publisher writes them."""
    sink = pa.BufferOutputStream()
    times = pc.strftime(rows["occurred_at"], "%Y-%m-%dT%H:%M:%S")
    csv.write_csv(rows.set_column(0, "occurred_at", times), sink)
    return sink.getvalue().to_pybytes()


def write_whole(path: Path, content: bytes) -> None:
    """Put a file into place at once, as a transfer that renames it when it is over."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)
