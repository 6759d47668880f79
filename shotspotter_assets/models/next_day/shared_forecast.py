"""The regression of all cities by itself: its weights, at the city's own level; no number of inputs is learned from the city."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from scipy.special import expit

from shotspotter_assets.models.forecaster import NO_CONTEXT, FitContext, SharedStart, required_shared
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.firework_days import level_offset
from shotspotter_assets.models.next_day.regime_regression import (
    FitData,
    FittedRegimeRegression,
    load_regression,
    require_same_inputs,
    with_firework_days,
)
from shotspotter_assets.models.probability import clip_probability


class SharedRegressionForecaster:
    """Fits the intercept alone, on training and validation days together."""

    name: ClassVar[str] = "shared_regression"

    def fit(
        self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT
    ) -> FittedRegimeRegression:
        """See `Forecaster.fit`.

        Raises:
            NoSharedModelError: there is no regression of all cities.
        """
        shared = required_shared(context, history)
        data = FitData.make(history, train, validation)
        before, both = (_at_own_level(data, days, shared) for days in (train, data.both))
        ordinary = expit(before.logit(data.validation_inputs))
        probability = clip_probability(with_firework_days(data.history, validation, ordinary, before))
        settings = {"shared": shared.origin}
        return FittedRegimeRegression(
            both.names, both.weights, both.intercept, both.mean, both.scale, settings, probability
        )

    def load(self, files: Mapping[str, bytes]) -> FittedRegimeRegression:
        return load_regression(files)


def _at_own_level(data: FitData, days: range, shared: SharedStart) -> FittedRegimeRegression:
    require_same_inputs(data, shared)
    rows = data.rows(data.to_fit(days))
    names = rows.inputs.names
    slopes = np.array([shared.slopes.get(name, 0.0) for name in names])
    zeros, ones = np.zeros(len(names)), np.ones(len(names))
    regression = FittedRegimeRegression(names, slopes, shared.intercept, zeros, ones, {})
    offset = level_offset(regression.logit(rows.inputs).ravel(), rows.observed, rows.sample_weight)
    return FittedRegimeRegression(names, slopes, shared.intercept + offset, zeros, ones, {})
