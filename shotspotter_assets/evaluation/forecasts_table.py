"""The forecasts table: a row per period and cell, with the observation and a column of probabilities per model.

Columns are those of `catalogue.FOLD_FORECASTS` or, for the next hours, `FOLD_HOURS`: each hour of issue is a period then.
Every score can be computed from such a table alone.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.grid.dates import dates_of, is_holiday_fireworks

SERVED: Final = "served"  # column of the served forecaster, beside those named by their model
KEY_COLUMNS: Final = ("date", "hour", "horizon", "row", "column", "observed")


def forecasts_table(
    dates: npt.NDArray[np.datetime64],
    cells: tuple[npt.NDArray[np.integer], ...],
    observed: npt.NDArray[np.bool_],
    probabilities: Mapping[str, npt.NDArray[np.floating]],
    *,
    hours: npt.NDArray[np.integer] | None = None,
    horizon: int | None = None,
) -> pa.Table:
    """Return the table of periods (`dates`, also `hours` and `horizon`) and `cells`; values are (periods, cells)."""
    periods, number = observed.shape
    columns = {"date": pa.array(np.repeat(dates.astype("datetime64[D]"), number), pa.date32())}
    if hours is not None:
        columns["hour"] = pa.array(np.repeat(hours, number), pa.int8())
    if horizon is not None:
        columns["horizon"] = pa.array(np.full(observed.size, horizon), pa.int8())
    for name, axis in zip(("row", "column"), cells, strict=True):
        columns[name] = pa.array(np.tile(axis, periods), pa.int16())
    columns["observed"] = pa.array(observed.ravel().astype(np.int8))
    return pa.table(columns | {name: pa.array(p.ravel()) for name, p in probabilities.items()})


def pool_tables(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the tables of several folds as one, with common models; raise ValueError for none, or a day in two."""
    if not tables:
        raise ValueError("No forecasts to pool: materialize the evaluation reports of at least one fold.")
    shared = [name for name in tables[0].column_names if all(name in table.column_names for table in tables)]
    days = np.concatenate([np.unique(dates_of(table)) for table in tables])
    distinct, count = np.unique(days, return_counts=True)
    if (count > 1).any():
        day = distinct[count > 1][0]
        raise ValueError(f"Day {day} is forecast by two of the folds; pool folds that follow each other.")
    return pa.concat_tables([table.select(shared) for table in tables], promote_options="default")


def without_firework_days(forecasts: pa.Table) -> pa.Table:
    """Return the rows of ordinary days."""
    return forecasts.filter(pa.array(~is_holiday_fireworks(dates_of(forecasts))))


def model_names(forecasts: pa.Table) -> list[str]:
    """Return the models, in the order of their columns."""
    return [name for name in forecasts.column_names if name not in KEY_COLUMNS]


def periods_of(forecasts: pa.Table) -> npt.NDArray[np.datetime64]:
    """Return a label of the period of each row: its day, or its hour of issue."""
    hours = dates_of(forecasts).astype("datetime64[h]")
    return hours + forecasts["hour"].to_numpy().astype(np.int64) if "hour" in forecasts.column_names else hours


def cells_of(forecasts: pa.Table) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return (row, column) of each row of the table."""
    row, column = (forecasts[name].to_numpy().astype(np.int64) for name in ("row", "column"))
    return row, column


def observed_of(forecasts: pa.Table) -> npt.NDArray[np.bool_]:
    """Return True for each row with an alert."""
    return forecasts["observed"].to_numpy().astype(bool)
