"""Forecasts of all baselines for a fold, which every report compares with, fitted on its windows.

A network keeps its validation window out of its fit and a baseline does not, so this favours the baselines. The
forecast of a test day uses all days before it, earlier test days included, but labels of test days never enter a fit.
"""

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Final

from shotspotter_assets.models.forecaster import Fitted, ModelForecast, require_both_labels
from shotspotter_assets.models.forecaster_registry import BASELINES, forecaster
from shotspotter_assets.models.history import History
from shotspotter_assets.models.probability import clip_probability
from shotspotter_assets.models.training_windows import BASELINES_WARM_UP_DAYS, after_warm_up

HISTORICAL_MEAN: Final = "historical_mean"
"""The reference of all skill scores."""


def fit_baselines(
    history: History,
    train: range,
    validation: range,
    test: range,
    log: Callable[[str], None] = lambda _: None,
    fitted: Mapping[str, Fitted] | None = None,
) -> dict[str, ModelForecast]:
    """Return the forecasts of all baselines of the registry by name; later days than `test` are not used.

    The windows are indexes of days and follow each other. Baselines among `fitted`, by name, are not fitted again.
    Raises ValueError if cells are never, or always, occupied in training.
    """
    history = history.through(test.stop)
    fitted_days = after_warm_up(train, BASELINES_WARM_UP_DAYS)
    labels = history.observed[fitted_days.start : fitted_days.stop][history.known_in(fitted_days)]
    require_both_labels(history, train, labels)
    forecasts, given = {}, fitted or {}
    for number, name in enumerate(BASELINES, start=1):
        log(f"baseline {number} of {len(BASELINES)}: {name}")
        started = perf_counter()
        baseline = given.get(name) or forecaster(name).fit(history, train, validation)
        probability = clip_probability(baseline.predict(history, test))
        seconds = None if name in given else perf_counter() - started
        forecasts[name] = ModelForecast(probability, seconds)
    return forecasts
