"""Forecasts of all baselines for a fold, which every report compares with, tuned on the same window.

A network keeps its validation window out of its fit and a baseline does not, so this favours the baselines. None is
weighted: each forecasts the probability itself. The forecast of a test day uses all days before it, earlier test days
included, but labels of test days never enter a fit.
"""

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Final

from shotspotter_assets.models.fold_windows import BASELINES_WARM_UP_DAYS, after_warm_up
from shotspotter_assets.models.forecaster import Fitted, ModelForecast, require_both_labels
from shotspotter_assets.models.history import History
from shotspotter_assets.models.probability import clip_probability
from shotspotter_assets.models.registry import BASELINES, forecaster

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
    """All baselines of the registry, for one fold, by name.

    Args:
        history: to the end of `test` at least; later days are not looked at.
        train: indices into the day axis; `validation` starts where it ends, and `test` where that ends.
        log: receives a line for each baseline.
        fitted: forecasters by name that were fitted on these very days and windows: baselines among them are not fitted again.

    Raises:
        ValueError: covered cells are never (or always) occupied while training.
    """
    history = history.through(test.stop)
    fitted_days = after_warm_up(train, BASELINES_WARM_UP_DAYS)
    labels = history.observed[fitted_days.start : fitted_days.stop][history.known_in(fitted_days)]
    require_both_labels(history, train, labels)
    known = fitted or {}
    forecasts = {}
    for number, name in enumerate(BASELINES, start=1):
        log(f"baseline {number} of {len(BASELINES)}: {name}")
        started = perf_counter()
        baseline = known.get(name) or forecaster(name).fit(history, train, validation)
        probability = clip_probability(baseline.predict(history, test))
        seconds = None if name in known else perf_counter() - started
        forecasts[name] = ModelForecast(probability, baseline.settings, seconds)
    return forecasts
