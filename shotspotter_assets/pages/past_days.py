"""The page of past days: what was forecast beside what happened, by day and in plain words."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
from shotspotter_assets.calendar.local_time import wall_clock
from shotspotter_assets.cities.city import UNKNOWN_TYPE_CODE, City
from shotspotter_assets.gridding.cells import Plane
from shotspotter_assets.gridding.tensors import counted_alerts
from shotspotter_assets.models.next_day.baselines import HISTORICAL_MEAN
from shotspotter_assets.serving.issued_forecasts import RISK_FORECASTS, ForecastRecord, forecast_partition, load_record
from shotspotter_assets.serving.risk_tables import BASELINE_PREFIX, is_of_grid, next_day_rows
from shotspotter_assets.storage.file_names import ALERTS_FILE, FORECAST_FILE, GRID_FILE, RECORD_FILE
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Partition, Store

FLAGGED_SHARE: Final = 0.05
"""Of the forecast cells: those with the highest probability count as what a map points at."""

PER_UNIT: Final = 10_000
"""Probabilities are given to the browser in steps of one of these."""


class PastDay(BaseModel):
    """How the forecast of a day did."""

    model_config = ConfigDict(frozen=True)

    day: date
    stamp: str
    """Of what it was made from."""
    served: str
    lead: int
    replayed: bool
    is_firework_day: bool
    expected: float
    low: float
    high: float
    alerts: int
    """That came, in forecast cells."""
    flagged: int
    """Number of cells that the map points at."""
    caught: int
    """Alerts in those cells."""
    caught_by_mean: int | None
    """Alerts in as many cells of the map of the long-run mean; None where that is not stored."""


class PastDayMap(BaseModel):
    """What the browser draws of a day."""

    model_config = ConfigDict(frozen=True)

    cells: list[int]
    chance: list[int]
    """Probability in steps of 1 / `PER_UNIT`, by cell."""
    flagged: list[int]
    """Numbers of the cells that the forecast points at."""
    flagged_by_mean: list[int]
    x: list[int]
    """Metres east of the box's south-western corner, by alert."""
    y: list[int]
    what: list[str]
    """Clock time and type, by alert."""


class PastDays(BaseModel):
    """All past days, the oldest first."""

    model_config = ConfigDict(frozen=True)

    days: list[PastDay]
    flagged_percent: int
    per_unit: int


def forecast_days(store: Store, city: str, last_known: date) -> list[date]:
    """The days that have a forecast and of which it is known what happened."""
    one = timedelta(days=1)
    days = {issue_date + one for issue_date in store.days_present(RISK_FORECASTS, city, FORECAST_FILE)}
    known = store.days_present("grid_tensors", city, GRID_FILE)
    return sorted(day for day in days & known if day <= last_known)


def stamp_of(store: Store, city: str, day: date) -> str:
    """Changes when the forecast of a day or what happened on it has changed."""
    record = store.read_bytes(forecast_partition(city, day - timedelta(days=1)), RECORD_FILE)
    grid = store.read_bytes(Partition("grid_tensors", city, "date", day), GRID_FILE)
    return sha256(record.decode(), grid.hex())[:16]


def past_day(store: Store, city: City, day: date, stamp: str) -> tuple[PastDay, PastDayMap] | None:
    """How the forecast of a day did, and its maps; None where it is of another grid than the city has now."""
    issue_date = day - timedelta(days=1)
    record = load_record(store, city.name, issue_date)
    assert isinstance(record, ForecastRecord)
    table = store.read_table(forecast_partition(city.name, issue_date), FORECAST_FILE)
    if not is_of_grid(table, city):
        return None
    table = next_day_rows(table)
    cells = _numbers(table, city)
    counts = _counts(store, city, day, cells)
    probability = table["probability"].to_numpy()
    flagged = flagged_cells(probability)
    mean = f"{BASELINE_PREFIX}{HISTORICAL_MEAN}"
    by_mean = flagged_cells(table[mean].to_numpy()) if mean in table.column_names else None
    facts = PastDay(
        day=day,
        stamp=stamp,
        served=record.served,
        lead=record.lead,
        replayed=record.replayed,
        is_firework_day=bool(is_holiday_fireworks(np.array([day], "datetime64[D]"))[0]),
        expected=record.expected_alerts,
        low=record.expected_alerts_low,
        high=record.expected_alerts_high,
        alerts=int(counts.sum()),
        flagged=len(flagged),
        caught=int(counts[flagged].sum()),
        caught_by_mean=None if by_mean is None else int(counts[by_mean].sum()),
    )
    x, y, what = _alerts(store, city, day)
    return facts, PastDayMap(
        cells=cells.tolist(),
        chance=np.round(probability * PER_UNIT).astype(int).tolist(),
        flagged=cells[flagged].tolist(),
        flagged_by_mean=[] if by_mean is None else cells[by_mean].tolist(),
        x=x,
        y=y,
        what=what,
    )


def flagged_cells(probability: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Places of the `FLAGGED_SHARE` of cells with the highest probability, rounded half up and at least one."""
    number = max(int(FLAGGED_SHARE * len(probability) + 0.5), 1)
    return np.argsort(-probability, kind="stable")[:number]


def past_days(days: Mapping[date, PastDay]) -> PastDays:
    """The days in order."""
    return PastDays(
        days=[days[day] for day in sorted(days)], flagged_percent=round(100 * FLAGGED_SHARE), per_unit=PER_UNIT
    )


def day_file(day: date) -> str:
    """Name of the data of a day."""
    return f"day-{day}"


def _numbers(table: pa.Table, city: City) -> npt.NDArray[np.int64]:
    row, column = (table[name].to_numpy().astype(np.int64) for name in ("row", "column"))
    return row * city.grid.columns + column


def _counts(store: Store, city: City, day: date, cells: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Alerts of the forecast types in each of the cells."""
    grid = store.read_table(Partition("grid_tensors", city.name, "date", day), GRID_FILE)
    grid = grid.filter(pc.is_in(grid["gunshot_type"], pa.array(city.forecast_codes, pa.int8())))
    counts = np.bincount(_numbers(grid, city), grid["count"].to_numpy(), minlength=city.grid.rows * city.grid.columns)
    return counts[cells].astype(np.int64)


def _alerts(store: Store, city: City, day: date) -> tuple[list[int], list[int], list[str]]:
    """(east, north) in metres, and what each alert is in words."""
    columns = ["time_utc", "longitude", "latitude", "gunshot_type", "user_id", "incident_id"]
    alerts = store.read_table(Partition("cleaned_alerts", city.name, "date", day), ALERTS_FILE, columns)
    alerts = counted_alerts(alerts, city)
    types = alerts["gunshot_type"].fill_null(UNKNOWN_TYPE_CODE)
    chosen = pc.is_in(types, pa.array(city.forecast_codes, pa.int8()))
    alerts, types = alerts.filter(chosen), types.filter(chosen)
    degrees = np.column_stack([alerts[name].to_numpy() for name in ("longitude", "latitude")])
    metres = Plane.of(city).metres(degrees).round().astype(int)
    clock = [str(time) for time in wall_clock(alerts["time_utc"], city.zone).astype("datetime64[m]")]
    what = [
        f"{time[11:16]}, {city.type_names[code]}" if city.time_precision != "day" else city.type_names[code]
        for time, code in zip(clock, types.to_pylist(), strict=True)
    ]
    return metres[:, 0].tolist(), metres[:, 1].tolist(), what
