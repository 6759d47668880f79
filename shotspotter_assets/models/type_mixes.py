"""Mixes of gunshot types: the trailing one, the regression's, and those of networks with a map of each type."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from shotspotter_assets.arrays import Array, Days, Integers
from shotspotter_assets.cities.city import GUNSHOT_TYPES
from shotspotter_assets.models.forecaster import Fitted
from shotspotter_assets.models.gunshot_types import TRAILING_MIX, TYPE_REGRESSION, GunshotTypes, trailing_mix
from shotspotter_assets.models.history import History
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_day.network_forecaster import FittedNetwork, mapped_layers


def network_mix(network: FittedNetwork, daily: History, days: Days, cells: Integers) -> Array:
    """Return each type's share of the expected alerts, -log(1 - p), of a local day and covered cell, shape (rows, types)."""
    # A nowcast may end after midnight.
    at = np.minimum((days - np.datetime64(daily.first_day)).astype(np.int64), daily.next_day)
    maps = network.predict_maps(daily, range(at.min(), at.max() + 1))[at - at.min(), cells, 1:]
    expected = -np.log1p(-maps)
    return np.asarray(expected / expected.sum(axis=1, keepdims=True))


def type_mixes(
    types: GunshotTypes,
    next_day: Mapping[str, Fitted],
    history: HourlyHistory,
    daily: History,
    rows: tuple[Integers, Integers, Integers],
) -> Mapping[str, Callable[[], Array]]:
    """Return by forecaster a function that returns the probability of each type of an alert, shape (rows, types).

    `rows` are issues, hours and cells, see `GunshotTypes.predict`; networks read `daily`, the days of `history`.
    """
    mixes = {
        TYPE_REGRESSION: partial(types.predict, history, *rows),
        TRAILING_MIX: partial(trailing_mix, history, rows[0]),
    }
    if mapped_layers(history.city) != tuple(GUNSHOT_TYPES):
        return mixes
    networks = {name: model for name, model in next_day.items() if isinstance(model, FittedNetwork)}
    days = history.clock.day[rows[1]]
    return mixes | {name: partial(network_mix, model, daily, days, rows[2]) for name, model in networks.items()}
