"""The contributing factors of a city as inputs of its forecast, each from the day after its publication."""

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.layers import SeriesFactor
from shotspotter_assets.grid.cell_values import MISSING_FIGURES, cell_values
from shotspotter_assets.storage.arrays import Array, Booleans, Days
from shotspotter_assets.storage.fingerprints import sha256


class FactorFileError(ValueError):
    """The file of a factor cannot be used, with the remedy."""


@dataclass(frozen=True)
class CellInput:
    """A factor of places."""

    name: str
    known_from: date
    by_cell: Array  # NaN where nothing is known, shape (rows, columns)

    def inputs(self, first_unknown: Days, in_coverage: Booleans) -> Array:
        """Return differences from the mean of the covered cells, shape (days, cells).

        `first_unknown` is, for each forecast day, the first day whose data may not be used, shape (days,). Values are 0 where
        nothing is known, and before the publication, lest a model learns from the future.
        """
        values = self.by_cell[in_coverage]
        known = np.isfinite(values)
        centred = np.where(known, values - values[known].mean(), 0.0) if known.any() else np.zeros(len(values))
        return np.where((first_unknown > np.datetime64(self.known_from, "D"))[:, None], centred, 0.0)


@dataclass(frozen=True)
class SeriesInput:
    """A factor of days."""

    name: str
    known_from: date
    days: Days  # contiguous
    by_day: Array  # NaN where nothing is known, shape (len(days),)
    days_late: int  # days after which a number is known

    def inputs(self, first_unknown: Days) -> Array:
        """Return the newest known number less the mean up to it, 0 where missing, shape (days, 1)."""
        if not len(self.days):
            return np.zeros((len(first_unknown), 1))
        known = np.isfinite(self.by_day)
        mean = np.cumsum(np.where(known, self.by_day, 0.0)) / np.maximum(np.cumsum(known), 1)
        centred = np.where(known, self.by_day - mean, 0.0)
        newest = (first_unknown - np.timedelta64(1 + self.days_late, "D") - self.days[0]).astype(np.int64)
        usable = (newest >= 0) & (newest < len(self.days)) & (first_unknown > np.datetime64(self.known_from, "D"))
        return np.where(usable, centred[np.clip(newest, 0, len(self.days) - 1)], 0.0)[:, None]


@dataclass(frozen=True)
class CityFactors:
    """The factors of a city, in the order of its file."""

    of_cells: tuple[CellInput, ...] = ()
    of_days: tuple[SeriesInput, ...] = ()

    @classmethod
    def read(cls, city: City) -> "CityFactors":
        """Read the files that the city's file names; raise FactorFileError if one cannot be used."""
        of_cells = []
        of_days = []
        for name, factor in city.factors.items():
            label = factor.input_name(name)
            try:
                if isinstance(factor, SeriesFactor):
                    days, by_day = _daily_values(factor)
                    of_days.append(SeriesInput(label, factor.known_from, days, by_day, factor.days_late))
                else:
                    of_cells.append(CellInput(label, factor.known_from, cell_values(city, factor)))
            except ValueError as error:
                raise FactorFileError(f"City {city.name}, factors.{name}: {factor.path} {error}.") from None
        return cls(tuple(of_cells), tuple(of_days))

    def sha256(self, stop: date) -> str:
        """Return the SHA-256 of the values and factors published before `stop`, which the days before it can use."""
        contents = [(cells.name, cells.known_from, cells.by_cell.tobytes()) for cells in self.of_cells]
        for series in self.of_days:
            before = series.days < np.datetime64(stop, "D")
            content = series.days[before].astype(np.int64).tobytes() + series.by_day[before].tobytes()
            contents.append((series.name, series.known_from, content))
        return sha256(repr(sorted((name, start, sha256(content)) for name, start, content in contents if start < stop)))

    @property
    def names(self) -> list[str]:
        """Sorted names of the inputs."""
        return sorted([factor.name for factor in self.of_cells] + [factor.name for factor in self.of_days])


NO_FACTORS: Final = CityFactors()


def _daily_values(factor: SeriesFactor) -> tuple[Days, Array]:
    """Return contiguous days, and the number of each, NaN where missing; raise ValueError with reason and remedy."""
    import pandas as pd

    try:
        table = pd.read_csv(factor.path) if factor.path.suffix.lower() == ".csv" else pd.read_parquet(factor.path)
        days = pd.to_datetime(table[factor.day]).to_numpy(dtype="datetime64[D]")
        numbers = table[factor.column].to_numpy(dtype=np.float64, na_value=np.nan)
    except KeyError as error:
        raise ValueError(f"has no column {error}; it has {', '.join(map(str, table.columns))}") from None
    except Exception as error:
        raise ValueError(f"cannot be read as CSV or Parquet: {str(error).partition(chr(10))[0]}") from None
    if not len(days) or np.isnat(days).any() or len(np.unique(days)) < len(days):
        raise ValueError(f"needs one row for each day ({factor.day}). Sum or average several rows by local day")
    daily = pd.Series(np.where(np.isin(numbers, MISSING_FIGURES), np.nan, numbers), days).asfreq("D")
    return daily.index.to_numpy("datetime64[D]"), np.asarray(daily, np.float64)
