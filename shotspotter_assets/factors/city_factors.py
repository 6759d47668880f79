"""The contributing factors of a city as inputs of its forecast, each from the day after its publication."""

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.factors import SeriesFactor
from shotspotter_assets.factors.cell_values import MISSING_FIGURES, cell_values
from shotspotter_assets.storage.fingerprints import sha256

Array = npt.NDArray[np.float64]
Days = npt.NDArray[np.datetime64]


class FactorFileError(ValueError):
    """The file of a factor cannot be used; the message names the city, the factor, the file and the remedy."""


@dataclass(frozen=True)
class OfCells:
    """A factor of places: `by_cell`, shape (rows, columns), NaN where nothing is known."""

    name: str
    known_from: date
    by_cell: Array

    def inputs(self, first_unknown: Days, in_coverage: npt.NDArray[np.bool_]) -> Array:
        """Return differences from the mean of the covered cells, shape (days, cells); 0 where nothing is known.

        They are 0 before the publication too, as a model would else learn what nobody could have known. `first_unknown`
        is, for each day that is forecast, the first day of which nothing may be used.
        """
        values = self.by_cell[in_coverage]
        known = np.isfinite(values)
        centred = np.where(known, values - values[known].mean(), 0.0) if known.any() else np.zeros(len(values))
        return np.where((first_unknown > np.datetime64(self.known_from, "D"))[:, None], centred, 0.0)


@dataclass(frozen=True)
class OfDays:
    """A factor of days: `by_day` of the contiguous `days`, NaN where nothing is known, known after `days_late` days."""

    name: str
    known_from: date
    days: Days
    by_day: Array
    days_late: int

    def inputs(self, first_unknown: Days) -> Array:
        """Return the newest known number as its difference from the mean before it; 0 where missing, shape (days, 1)."""
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

    of_cells: tuple[OfCells, ...] = ()
    of_days: tuple[OfDays, ...] = ()

    @classmethod
    def read(cls, city: City) -> "CityFactors":
        """Read the files that the city's file names. Raises FactorFileError if one cannot be used."""
        of_cells, of_days = [], []
        for name, factor in city.factors.items():
            try:
                if isinstance(factor, SeriesFactor):
                    days, values = _daily_values(factor)
                    of_days.append(OfDays(factor.input_name(name), factor.known_from, days, values, factor.days_late))
                else:
                    values = cell_values(city, factor)
                    of_cells.append(OfCells(factor.input_name(name), factor.known_from, values))
            except ValueError as error:
                raise FactorFileError(f"City {city.name}, factors.{name}: {factor.path} {error}.") from None
        return cls(tuple(of_cells), tuple(of_days))

    @classmethod
    def blank(cls, city: City) -> "CityFactors":
        """Return the names for a grid of one cell, of which nothing is known; no file is read."""
        of_cells, of_days = [], []
        for name, factor in city.factors.items():
            if isinstance(factor, SeriesFactor):
                no_days = np.array([], dtype="datetime64[D]")
                of_days.append(OfDays(factor.input_name(name), factor.known_from, no_days, np.array([]), 0))
            else:
                of_cells.append(OfCells(factor.input_name(name), factor.known_from, np.full((1, 1), np.nan)))
        return cls(tuple(of_cells), tuple(of_days))

    def sha256(self, stop: date) -> str:
        """Return the SHA-256 of the values and factors published before `stop`, which the days before it can use."""
        parts = [
            (cells.name, cells.known_from, sha256(cells.by_cell.tobytes()))
            for cells in self.of_cells
            if cells.known_from < stop
        ]
        for series in self.of_days:
            before = series.days < np.datetime64(stop, "D")
            values = series.days[before].astype(np.int64).tobytes() + series.by_day[before].tobytes()
            if series.known_from < stop:
                parts.append((series.name, series.known_from, sha256(values)))
        return sha256(repr(sorted(parts)))

    @property
    def names(self) -> list[str]:
        """Names of the inputs, in arbitrary order."""
        return sorted([factor.name for factor in self.of_cells] + [factor.name for factor in self.of_days])


NO_FACTORS: Final = CityFactors()


def _daily_values(factor: SeriesFactor) -> tuple[Days, Array]:
    """Return the contiguous days of the file, and the number of each; NaN where there is none.

    Raises ValueError if the file cannot be used, with the reason and the remedy.
    """
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
    axis = np.arange(days.min(), days.max() + np.timedelta64(1, "D"))
    values = np.full(len(axis), np.nan)
    values[(days - axis[0]).astype(np.int64)] = np.where(np.isin(numbers, MISSING_FIGURES), np.nan, numbers)
    return axis, values
