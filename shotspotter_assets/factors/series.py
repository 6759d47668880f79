"""Reads a contributing factor that has a number for each day."""

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.factors import SeriesFactor
from shotspotter_assets.factors.cell_values import MISSING_FIGURES


def daily_values(factor: SeriesFactor) -> tuple[npt.NDArray[np.datetime64], npt.NDArray[np.float64]]:
    """(contiguous days from the first to the last of the file, the number of each; NaN where there is none).

    Raises:
        ValueError: the file cannot be used, with the reason and the remedy.
    """
    import pandas as pd

    try:
        table = pd.read_csv(factor.path) if factor.path.suffix.lower() == ".csv" else pd.read_parquet(factor.path)
    except Exception as error:
        raise ValueError(
            f"cannot be read as CSV or Parquet: {(str(error).splitlines() or [type(error).__name__])[0]}"
        ) from None
    missing = [column for column in (factor.day, factor.column) if column not in table.columns]
    if missing:
        raise ValueError(f"has no column {' or '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    try:
        days = pd.to_datetime(table[factor.day]).to_numpy(dtype="datetime64[D]")
        numbers = table[factor.column].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"has days or numbers that cannot be read ({factor.day}, {factor.column}): {str(error).splitlines()[0]}"
        ) from None
    if not len(days) or np.isnat(days).any():
        raise ValueError(f"has no day, or rows without one ({factor.day})")
    if len(np.unique(days)) < len(days):
        raise ValueError(f"has several rows of a day ({factor.day}). Sum or average them by local day")
    axis = np.arange(days.min(), days.max() + np.timedelta64(1, "D"))
    values = np.full(len(axis), np.nan)
    values[(days - axis[0]).astype(np.int64)] = np.where(np.isin(numbers, MISSING_FIGURES), np.nan, numbers)
    return axis, values
