"""Past days that an audit looks at: forecasts of folds and issued ones, plans, and the alerts that were observed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.evaluation.forecasts_table import SERVED, cells_of
from shotspotter_assets.forecasts.forecast_facts import MODEL_PREFIX
from shotspotter_assets.forecasts.issued_forecasts import next_day_forecasts
from shotspotter_assets.forecasts.patrol.dispatch import unit_hours
from shotspotter_assets.grid.cells import cell_numbers
from shotspotter_assets.grid.dates import dates_of
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.forecaster_registry import HISTORICAL_MEAN
from shotspotter_assets.models.trained_models import FoldRecord
from shotspotter_assets.storage.arrays import Array, Booleans, Days, Integers
from shotspotter_assets.storage.catalogue import FOLD_FORECASTS, PLAN
from shotspotter_assets.storage.store import Store

CELL_MEAN: Final = "cell mean"  # share of days with an alert in the cell's training window
LAST_YEAR: Final = "last year's map"  # share of days with an alert in the year before the day
YEAR: Final = 365


@dataclass(frozen=True)
class AuditedDays:
    """Known days with a forecast, in order; the forecasts and outcomes of cells that were covered on any of them."""

    days: Days  # shape (days,)
    cells: Integers  # numbers of the cells, shape (cells,)
    probability: Mapping[str, Array]  # by forecast, SERVED first; NaN in cells that were not covered; (days, cells)
    alerts: Integers  # shape (days, cells)
    unit_hours: Array | None = None  # hours of units by the day's plan, NaN on days without one; (days, cells)

    @classmethod
    def of(cls, forecasts: pa.Table, history: CityHistory) -> "AuditedDays | None":
        """Return the known days of a table of `forecasts_of`; None without any. `history` begins up to a year earlier."""
        known = np.array(history.days, "datetime64[D]")[history.is_known]
        forecasts = forecasts.filter(pa.array(np.isin(dates_of(forecasts), known)))
        if not forecasts.num_rows:
            return None
        days, day = np.unique(dates_of(forecasts), return_inverse=True)
        cells, cell = np.unique(cell_numbers(history.city, *cells_of(forecasts)), return_inverse=True)
        probability = {}
        for name in (SERVED, CELL_MEAN):
            probability[name] = np.full((len(days), len(cells)), np.nan)
            probability[name][day, cell] = forecasts[name].to_numpy()
        alerts = history.alerts.reshape(len(history.days), -1)[:, cells]
        index = (days - np.datetime64(history.days[0], "D")).astype(np.int64)
        last_year = _share_of_last_year(alerts > 0, history.is_known, index)
        # Cells without an alert in that year are ranked by their longer history.
        ranked = last_year + 1e-6 * np.nan_to_num(probability[CELL_MEAN])
        probability[LAST_YEAR] = np.where(np.isfinite(probability[SERVED]), ranked, np.nan)
        return cls(days, cells, probability, alerts[index].astype(np.int64))


def _share_of_last_year(has_alert: Booleans, is_known: Booleans, index: Integers) -> Array:
    """Return the share of known days with an alert in the year before some days; shape (len(index), cells)."""
    sums = np.vstack([np.zeros((1, has_alert.shape[1])), np.cumsum(has_alert & is_known[:, None], axis=0)])
    known = np.concatenate([[0], np.cumsum(is_known)])
    first = np.maximum(index - YEAR, 0)
    days = np.maximum(known[index] - known[first], 1)
    return np.asarray((sums[index] - sums[first]) / days[:, None])


def read_audited_days(store: Store, city: City, last: date) -> AuditedDays | None:
    """Read the forecasts of folds and, on other days, the issued ones, with alerts and plans, to `last`; None without any.

    A fold forecasts days to the next cutoff, by the forecaster that its gate had chosen on earlier days.
    """
    tables = _of_folds(store, city.name, last)
    tested = {day for table in tables for day in np.unique(dates_of(table)).tolist()}
    first = city.first_issue_date + ONE_DAY
    issued = {day: table for day, table in next_day_forecasts(store, city, first, last).items() if day not in tested}
    tables += [
        _of_issued(day, table) for day, table in issued.items() if MODEL_PREFIX + HISTORICAL_MEAN in table.column_names
    ]
    if not tables:
        return None
    forecasts = pa.concat_tables(tables)
    first_audited: date = dates_of(forecasts).min().astype(date)
    history = CityHistory.find(store, city, last, max(city.start, first_audited - YEAR * ONE_DAY))
    audited = None if history is None else AuditedDays.of(forecasts, history)
    if audited is None:
        return None
    hours = _unit_hours(store, city, audited)
    return replace(audited, unit_hours=hours)


def _unit_hours(store: Store, city: City, audited: AuditedDays) -> Array | None:
    """Return the hours of units by the plan of each audited day, NaN without a plan, (days, cells); None without plans."""
    first, last = (day.astype(object) - ONE_DAY for day in (audited.days[0], audited.days[-1]))
    columns = ["forecast_date", "starts_at", "ends_at", "units", "row", "column"]
    plans = store.read_present(PLAN, city.name, first, last, columns)
    if plans is None or not plans.num_rows:
        return None
    planned = plans["forecast_date"].to_numpy().astype("datetime64[D]")
    number = cell_numbers(city, plans["row"].to_numpy(), plans["column"].to_numpy())
    is_audited = np.isin(planned, audited.days) & np.isin(number, audited.cells)
    day = np.searchsorted(audited.days, planned[is_audited])
    cell = np.searchsorted(audited.cells, number[is_audited])
    sums = np.zeros(audited.alerts.shape)
    np.add.at(sums, (day, cell), unit_hours(plans)[is_audited])
    return np.where(np.isin(audited.days, planned)[:, None], sums, np.nan)


def _of_folds(store: Store, city: str, last: date) -> list[pa.Table]:
    """Return the folds' forecasts of days to `last`, with the columns of `_columns`."""
    cutoffs = sorted(store.days_present(FOLD_FORECASTS, city))
    tables = []
    for cutoff, following in pairwise([*cutoffs, date.max]):
        record = FoldRecord.find_sound(store, city, cutoff)
        if record is not None:
            columns = list(dict.fromkeys(("date", "row", "column", record.served, HISTORICAL_MEAN)))
            table = store.read_table(FOLD_FORECASTS, city, cutoff, columns)
            day = pc.field("date")
            table = table.filter((day < following) & (day <= last))
            tables.append(_columns(table["date"], table, record.served, HISTORICAL_MEAN))
    return tables


def _of_issued(day: date, table: pa.Table) -> pa.Table:
    """Return the next-day rows of an issued forecast with the columns of `_columns`."""
    days = pa.repeat(pa.scalar(day, pa.date32()), len(table))
    return _columns(days, table, "probability", MODEL_PREFIX + HISTORICAL_MEAN)


def _columns(days: pa.Array, table: pa.Table, served: str, cell_mean: str) -> pa.Table:
    """Return `date`, `row`, `column`, SERVED and CELL_MEAN of a table of forecasts."""
    columns = {"date": days, "row": table["row"], "column": table["column"]}
    return pa.table(columns | {SERVED: table[served], CELL_MEAN: table[cell_mean]})
