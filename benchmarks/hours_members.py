"""The forecasters of hours, fitted in a fold, and their forecasts, which are kept: what the scripts on real alerts share.

The stack is combined anew from the kept forecasts by the project's own code, so that another way to combine needs no fit.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmark_cities import HourlyFold

from shotspotter_assets.arrays import Array, Integers
from shotspotter_assets.models.forecaster import FitContext, FittedHourly
from shotspotter_assets.models.forecaster_registry import NEXT_HOURS, hourly_forecaster
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.probability import clip_probability
from shotspotter_assets.models.stack import HOURLY_MEMBERS, combined_hours


@dataclass(frozen=True)
class KeptHourly:
    """A fitted forecaster of which the forecasts of validation and test window are known; see `Fitted`."""

    issues: Integers  # of the test window
    test: Array
    validation_probability: Array | None

    def predict(self, history: HourlyHistory, issues: Integers) -> Array:
        """Of issues of the test window."""
        return self.test[np.searchsorted(self.issues, issues)]

    def files(self) -> dict[str, bytes]:
        """None: the cache has them."""
        return {}


def kept_hourly(fold: HourlyFold, cache: Path, horizons: Sequence[int]) -> dict[str, FittedHourly]:
    """All forecasters but the stack, by name; what is not in the cache is fitted."""
    history = fold.history
    kept = cache / f"{history.city.name}_{fold.cutoff}_members.npz"
    forecasts = dict(np.load(kept)) if kept.exists() else {}
    issues = {horizon: history.issues(fold.test, horizon) for horizon in horizons}
    missing = tuple(horizon for horizon in horizons if f"test_{horizon}_next_hours" not in forecasts)
    names = [name for name in NEXT_HOURS if name != "hourly_stack"]
    for name in names if missing else ():
        started = time.process_time()
        fitted = hourly_forecaster(name).fit(history, fold.train, fold.validation, FitContext(horizons=missing))
        for horizon, model in fitted.models.items():
            forecasts[f"validation_{horizon}_{name}"] = model.validation_probability.astype(np.float32)
            forecasts[f"test_{horizon}_{name}"] = model.predict(history, issues[horizon]).astype(np.float32)
        seconds = time.process_time() - started
        print(f"{history.city.name} {fold.cutoff} {name}: {seconds:.1f} s of CPU", file=sys.stderr, flush=True)
    if missing:
        # A run that is stopped leaves a whole file.
        partly = kept.with_suffix(".partly.npz")
        np.savez(partly, **forecasts)
        partly.replace(kept)

    def kept_at(name: str, horizon: int) -> KeptHourly:
        test, validation = (clip_probability(forecasts[f"{part}_{horizon}_{name}"]) for part in ("test", "validation"))
        return KeptHourly(issues[horizon], test, validation)

    return {name: FittedHourly({horizon: kept_at(name, horizon) for horizon in horizons}) for name in names}


def hourly_stack_of(fold: HourlyFold, kept: Mapping[str, FittedHourly], horizons: Sequence[int]) -> FittedHourly:
    """The stack of kept members; its forecasts of the test window move its weights week by week."""
    members = {name: kept[name] for name in HOURLY_MEMBERS}
    return combined_hours(members, fold.history, fold.train, fold.validation, horizons)
