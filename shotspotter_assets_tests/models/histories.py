"""Histories of a small made-up city for the forecasters' tests."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from functools import cache
from typing import Any

import numpy as np
import pytest

from shotspotter_assets.grid.dates import day_axis, is_holiday_fireworks, weekdays
from shotspotter_assets.models.forecaster import FitContext, SharedStart
from shotspotter_assets.models.forecaster_registry import FORECASTERS, forecaster
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.shared_regression import SharedRows, fit_shared
from shotspotter_assets_tests.made_up_city import made_up_city

CITY = made_up_city("small_city", (-77.0, 38.0, -76.9, 38.1), (6, 5))
COVERED = np.ones((6, 5), dtype=bool)
COVERED[0, :2] = False
FIRST_DAY = date(2021, 4, 1)
TRAIN = range(200)
VALIDATION = range(200, 260)
TEST = range(260, 290)
WINDOWS = TRAIN, VALIDATION
TINY_NETWORK = {"days": 2, "filters": 2, "recurrent_layers": 1, "epochs": 1}
FAST = {"conv_lstm": TINY_NETWORK, "network": {"filters": 2, "epochs": 5, "networks": 1, "learning_rate": 0.01}}


def mark_networks(names: Iterable[str]) -> list[Any]:
    """Return names of forecasters as parameters; networks have their marker."""
    return [pytest.param(name, marks=pytest.mark.networks) if name in FAST else name for name in names]


def history(days: int = 290, seed: int = 0, evening: bool = True) -> History:
    """Steady hot spots; twice as many alerts on weekends; on firework days alerts everywhere."""
    random = np.random.default_rng(seed)
    axis = day_axis(FIRST_DAY, days)
    weekend = (weekdays(axis) >= 5)[:, None, None, None]
    fireworks = is_holiday_fireworks(axis)[:, None, None, None]
    rate = random.gamma(0.6, 0.15, (1, 1, 6, 5)) * np.array([0.4, 0.3, 0.2, 0.1])[None, :, None, None]
    rate = rate * (1 + weekend) + 0.3 * fireworks
    counts = random.poisson(rate * COVERED).astype(np.uint16)
    in_evening = random.binomial(counts.sum(axis=1, dtype=np.int64), 0.3).astype(np.float32)
    return History(CITY, FIRST_DAY, counts, COVERED, in_evening if evening else None)


def changed(history: History, first: int) -> History:
    counts = history.counts.copy()
    evening = None if history.evening is None else history.evening.copy()
    counts[first:] = 7
    if evening is not None:
        evening[first:] = 5
    return replace(history, counts=counts, evening=evening)


def silent() -> History:
    return History(CITY, FIRST_DAY, np.zeros((290, 4, 6, 5), np.uint16), COVERED)


def build(name: str, **settings: Any) -> Any:
    return forecaster(name, FORECASTERS[name].settings(**FAST.get(name, {}) | settings))


@cache
def shared_start() -> SharedStart:
    rows = {"other_city": SharedRows.of(history(seed=7).through(VALIDATION.stop))}
    return fit_shared(rows, date(2022, 1, 1)).start_of(CITY.name, "all-cities")


def context_of(name: str) -> FitContext:
    return FitContext(shared=shared_start() if name == "new_city" else None)


@cache
def fitted(name: str) -> Any:
    """A forecaster fitted on `history()`, once in a test run."""
    return build(name).fit(history(), TRAIN, VALIDATION, context_of(name))
