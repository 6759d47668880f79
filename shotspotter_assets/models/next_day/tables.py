"""Baselines that anyone can make in a spreadsheet or a map tool: one rate, weekdays, yesterday's map, smoothed history.

Each setting is chosen by log loss on the validation window after fitting on the training window, and then fitted again
on both together.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.calendar.weekdays import weekdays
from shotspotter_assets.models.forecaster import Array, Forecaster, through
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.lag_features import exponential_mean, smooth_within
from shotspotter_assets.models.probability import clip_probability, log_losses

Settings = dict[str, float]

PSEUDO_DAYS: Final = (1, 10, 100, 1000)
PSEUDO_WEEKS: Final = (10, 30, 100, 1000)
WIDTHS: Final = (0.5, 0.7, 1.0, 1.5, 2.5)
"""Standard deviations of the smoothing in space, in cells."""
HALF_LIVES: Final = (7, 14, 21, 30, 60, 120, 180, 360, 720)
"""Half-lives of the smoothed history in days."""
HISTORY_SHARES: Final = (0.0, 0.25, 0.5, 0.75)
"""Share of the cell's own mean over all history in the smoothed one."""
FILE: Final = "baseline.json"


@dataclass(frozen=True)
class FittedTable:
    """See `Fitted`.

    Attributes:
        forecast: from `table`, a history and days to probabilities, shape (days, cells).
        table: the frequencies that were learnt.
        settings: see `Fitted`.
        validation_probability: see `Fitted`.
    """

    forecast: Callable[[Array, History, range], Array]
    table: Array
    settings: dict[str, Any]
    validation_probability: Array | None = None

    def predict(self, history: History, days: range) -> Array:
        """See `Fitted.predict`."""
        return clip_probability(self.forecast(self.table, history, days))

    def files(self) -> dict[str, bytes]:
        """See `Fitted.files`."""
        return {FILE: json.dumps({"table": self.table.tolist(), "settings": self.settings}).encode()}


class _TableForecaster:
    """A forecaster that learns one table of frequencies; subclasses say which, and how it forecasts."""

    grid: ClassVar[tuple[Settings, ...]] = ({},)

    def learn(self, history: History, days: range, settings: Settings) -> Array:
        """The table of the labels of `days`."""
        raise NotImplementedError

    def forecast(self, table: Array, history: History, days: range) -> Array:
        """Probabilities of `days`, from the table and the days before each, shape (days, cells)."""
        raise NotImplementedError

    def fit(self, history: History, train: range, validation: range, start: Any = None) -> FittedTable:
        """See `Forecaster.fit`."""
        history = through(history, validation.stop)
        labels = _of(history.observed, validation)
        of_validation = [
            clip_probability(self.forecast(self.learn(history, train, settings), history, validation))
            for settings in self.grid
        ]
        losses = [float(log_losses(probability, labels).mean()) for probability in of_validation]
        best = int(np.argmin(losses))
        table = self.learn(history, range(train.start, validation.stop), self.grid[best])
        chosen = self.grid[best] | {"validation_log_loss": losses[best]}
        return FittedTable(self.forecast, table, chosen, of_validation[best])

    def load(self, files: Mapping[str, bytes]) -> FittedTable:
        """See `Forecaster.load`."""
        content = json.loads(files[FILE])
        return FittedTable(self.forecast, np.array(content["table"]), content["settings"])


class CityMeanForecaster(_TableForecaster):
    """The same frequency for every cell and day; what knows neither places nor days cannot beat it."""

    name: ClassVar[str] = "city_mean"

    def learn(self, history: History, days: range, settings: Settings) -> Array:
        """One number."""
        return np.array(_of(history.observed, days).mean())

    def forecast(self, table: Array, history: History, days: range) -> Array:
        """See `_TableForecaster.forecast`."""
        return np.full((len(days), int(history.covered.sum())), float(table))


class WeekdayMeanForecaster(_TableForecaster):
    """Frequency of a cell on that weekday, drawn towards its own frequency times the city's factor of the weekday."""

    name: ClassVar[str] = "weekday_mean"
    grid = tuple({"pseudo_days": days, "pseudo_weeks": weeks} for days, weeks in product(PSEUDO_DAYS, PSEUDO_WEEKS))

    def learn(self, history: History, days: range, settings: Settings) -> Array:
        """Frequency by weekday and cell, shape (7, cells)."""
        labels, weekday = _of(history.observed, days), _weekday(history, days)
        mean, pseudo_days, pseudo_weeks = labels.mean(), settings["pseudo_days"], settings["pseudo_weeks"]
        cell = (labels.sum(axis=0) + pseudo_days * mean) / (len(labels) + pseudo_days)
        seen = np.bincount(weekday, minlength=7)[:, None]
        hits = np.stack([labels[weekday == day].sum(axis=0) for day in range(7)])
        # One pseudo-week of the overall rate, where a weekday was never seen or never had an alert.
        factor = (hits.mean(axis=1, keepdims=True) + mean) / (seen + 1) / mean
        return (hits + pseudo_weeks * np.minimum(cell * factor, 1)) / (seen + pseudo_weeks)

    def forecast(self, table: Array, history: History, days: range) -> Array:
        """See `_TableForecaster.forecast`."""
        return table[_weekday(history, days)]


class PersistenceForecaster(_TableForecaster):
    """Yesterday's map: one frequency for the cells with an alert the day before, one for the others."""

    name: ClassVar[str] = "persistence"

    def learn(self, history: History, days: range, settings: Settings) -> Array:
        """Frequency after a day without and after a day with an alert, shape (2,)."""
        labels, yesterday = _of(history.observed, days), _yesterday(history, days)
        # One pseudo-day of the overall frequency, where no cell was occupied the day before.
        return np.array(
            [(labels[yesterday == was].sum() + labels.mean()) / ((yesterday == was).sum() + 1) for was in (False, True)]
        )

    def forecast(self, table: Array, history: History, days: range) -> Array:
        """See `_TableForecaster.forecast`."""
        return table[_yesterday(history, days).astype(np.int64)]


class KdeForecaster(_TableForecaster):
    """A kernel density map: the frequency of a cell smoothed over its neighbours (Gaussian kernel), drawn to the mean."""

    name: ClassVar[str] = "kde"
    grid = tuple({"width_cells": width, "pseudo_days": days} for width, days in product(WIDTHS, PSEUDO_DAYS))

    def learn(self, history: History, days: range, settings: Settings) -> Array:
        """Frequency by cell, shape (cells,)."""
        labels, pseudo_days = _of(history.observed, days), settings["pseudo_days"]
        on_grid = _on_grid(labels.mean(axis=0, keepdims=True), history.covered)
        frequency = smooth_within(on_grid, history.covered, settings["width_cells"])[0]
        return (len(labels) * frequency + pseudo_days * labels.mean()) / (len(labels) + pseudo_days)

    def forecast(self, table: Array, history: History, days: range) -> Array:
        """See `_TableForecaster.forecast`."""
        return np.broadcast_to(table, (len(days), len(table)))


@dataclass(frozen=True)
class FittedEwKde:
    """See `Fitted`. The settings are all there is: the rates follow from the history."""

    settings: dict[str, Any]
    validation_probability: Array | None = None

    def predict(self, history: History, days: range) -> Array:
        """See `Fitted.predict`."""
        daily, share = _with_next_day(history), self.settings["history"]
        smooth = smooth_within(_on_grid(daily, history.covered), history.covered, self.settings["width_cells"])
        recent = exponential_mean(smooth, self.settings["half_life_days"])
        return clip_probability((1 - share) * _of(recent, days) + share * _of(exponential_mean(daily, np.inf), days))

    def files(self) -> dict[str, bytes]:
        """See `Fitted.files`."""
        return {FILE: json.dumps(self.settings).encode()}


class EwKdeForecaster:
    """A kernel density map in which old days weigh less, mixed with the cell's own mean over all history."""

    name: ClassVar[str] = "ew_kde"

    def fit(self, history: History, train: range, validation: range, start: Any = None) -> FittedEwKde:
        """See `Forecaster.fit`."""
        history = through(history, validation.stop)
        labels, daily = _of(history.observed, validation), history.observed.astype(np.float64)
        past, grid = _of(exponential_mean(daily, np.inf), validation), _on_grid(daily, history.covered)
        settings: dict[str, Any] = {"validation_log_loss": np.inf}
        for width in WIDTHS:
            smooth = smooth_within(grid, history.covered, width)
            for half_life in HALF_LIVES:
                recent = _of(exponential_mean(smooth, half_life), validation)
                for share in HISTORY_SHARES:
                    loss = float(log_losses((1 - share) * recent + share * past, labels).mean())
                    if loss < settings["validation_log_loss"]:
                        settings = {"width_cells": width, "half_life_days": half_life, "history": share}
                        settings["validation_log_loss"] = loss
        return FittedEwKde(settings, FittedEwKde(settings).predict(history, validation))

    def load(self, files: Mapping[str, bytes]) -> FittedEwKde:
        """See `Forecaster.load`."""
        return FittedEwKde(json.loads(files[FILE]))


SIMPLE_BASELINES: Final[dict[str, Callable[[], Forecaster]]] = {
    kind.name: kind
    for kind in (CityMeanForecaster, WeekdayMeanForecaster, PersistenceForecaster, KdeForecaster, EwKdeForecaster)
}
"""By the name that they have in reports and tables."""


def _of(daily: npt.NDArray[Any], days: range) -> npt.NDArray[Any]:
    return daily[days.start : days.stop]


def _weekday(history: History, days: range) -> npt.NDArray[np.int64]:
    return weekdays(history.days(more=1)[days.start : days.stop])


def _yesterday(history: History, days: range) -> npt.NDArray[np.bool_]:
    """Occupancy of the day before each of `days`, the first day of all history having none."""
    observed = history.observed
    return _of(np.vstack([np.zeros_like(observed[:1]), observed]), days)


def _with_next_day(history: History) -> Array:
    """Occupancy with a day more, so that the day after the last counted one can be asked for."""
    observed = history.observed
    return np.vstack([observed, np.zeros_like(observed[:1])]).astype(np.float64)


def _on_grid(daily: Array, covered: npt.NDArray[np.bool_]) -> Array:
    grid = np.zeros((len(daily), *covered.shape))
    grid[:, covered] = daily
    return grid
