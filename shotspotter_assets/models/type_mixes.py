"""Mixes of gunshot types by networks with a map of each type, beside the trailing mix and the regression."""

from collections.abc import Mapping

import numpy as np

from shotspotter_assets.arrays import Array, Days, Integers
from shotspotter_assets.cities.city import GUNSHOT_TYPES, City
from shotspotter_assets.models.forecaster import Fitted
from shotspotter_assets.models.gunshot_types import TRAILING_MIX, TYPE_REGRESSION, GunshotTypes, trailing_mix
from shotspotter_assets.models.history import History
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_day.network_forecaster import FittedNetwork, own_maps


def networks_of_types(next_day: Mapping[str, Fitted], city: City) -> list[str]:
    """Return the names of the networks that have a map of each gunshot type."""
    has_types = own_maps(city) == tuple(GUNSHOT_TYPES)
    return [name for name, model in next_day.items() if has_types and isinstance(model, FittedNetwork)]


def network_mix(network: FittedNetwork, daily: History, days: Days, cells: Integers) -> Array:
    """Return each type's share of the expected alerts, -log(1 - p), of a local day and covered cell, shape (rows, types)."""
    # A nowcast may end after midnight.
    at = np.minimum((days - np.datetime64(daily.first_day)).astype(np.int64), daily.next_day)
    maps = network.predict_maps(daily, range(at.min(), at.max() + 1))[at - at.min(), cells, 1:]
    expected = -np.log1p(-maps)
    return np.asarray(expected / expected.sum(axis=1, keepdims=True))


def type_mix(
    name: str,
    types: GunshotTypes,
    next_day: Mapping[str, Fitted],
    history: HourlyHistory,
    daily: History,
    issues: Integers,
    hours: Integers,
    cells: Integers,
) -> Array:
    """Return the probability of each type of an alert by one forecaster, shape (rows, types); see `GunshotTypes.predict`.

    `daily` are the days of `history`, which networks read.
    """
    if name == TRAILING_MIX:
        return trailing_mix(history, issues)
    if name == TYPE_REGRESSION:
        return types.predict(history, issues, hours, cells)
    network = next_day[name]
    assert isinstance(network, FittedNetwork)
    return network_mix(network, daily, history.clock.day[hours], cells)
