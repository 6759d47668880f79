"""Maps of smoothed history, as a map tool makes them: kernel density, and one in which old days weigh less."""

from collections.abc import Iterator
from itertools import product
from typing import ClassVar, Final

import numpy as np

from shotspotter_assets.models.filters import exponential_mean, smooth_cells
from shotspotter_assets.models.forecaster import Array
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.tuned_baseline import Settings, TunedBaseline

WIDTHS: Final = (0.5, 0.7, 1.0, 1.5, 2.5)
"""Standard deviations of the smoothing in space, in cells."""
PSEUDO_DAYS: Final = (1, 10, 100, 1000)
HALF_LIVES: Final = (7, 14, 21, 30, 60, 120, 180, 360, 720)
"""Half-lives of the smoothed history in days."""
HISTORY_SHARES: Final = (0.0, 0.25, 0.5, 0.75)
"""Share of the cell's own mean over all history in the smoothed one."""


class KdeForecaster(TunedBaseline):
    """The frequency of a cell smoothed over its neighbours (Gaussian kernel), shrunk towards the city's mean."""

    name: ClassVar[str] = "kde"
    grid = tuple({"width_cells": width, "pseudo_days": days} for width, days in product(WIDTHS, PSEUDO_DAYS))

    def learn(self, history: History, days: range, settings: Settings) -> Array:
        """Frequency by cell, shape (cells,)."""
        labels, pseudo_days = history.observed[days.start : days.stop], settings["pseudo_days"]
        frequency = smooth_cells(labels.mean(axis=0, keepdims=True), history.in_coverage, settings["width_cells"])[0]
        return (len(labels) * frequency + pseudo_days * labels.mean()) / (len(labels) + pseudo_days)

    def forecast(self, table: Array, settings: Settings, history: History, days: range) -> Array:
        return np.broadcast_to(table, (len(days), len(table)))


class EwKdeForecaster(TunedBaseline):
    """A kernel density map in which old days weigh less, mixed with the cell's own mean over all history."""

    name: ClassVar[str] = "ew_kde"
    table_key = None

    def forecast(self, table: Array, settings: Settings, history: History, days: range) -> Array:
        occupied, known = history.observed, history.known_before(days)
        smooth = smooth_cells(occupied, history.in_coverage, settings["width_cells"])
        recent = exponential_mean(smooth, settings["half_life_days"], before=known)
        return _mixture(recent, exponential_mean(occupied, np.inf, before=known), settings["history"])

    def candidates(self, history: History, train: range, validation: range) -> Iterator[tuple[Settings, Array]]:
        occupied, known = history.observed, history.known_before(validation)
        past = exponential_mean(occupied, np.inf, before=known)
        for width in WIDTHS:
            smooth = smooth_cells(occupied, history.in_coverage, width)
            for half_life in HALF_LIVES:
                recent = exponential_mean(smooth, half_life, before=known)
                for share in HISTORY_SHARES:
                    settings = {"width_cells": width, "half_life_days": half_life, "history": share}
                    yield settings, _mixture(recent, past, share)


def _mixture(recent: Array, past: Array, share: float) -> Array:
    return (1 - share) * recent + share * past
