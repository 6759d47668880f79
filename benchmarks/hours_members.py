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
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_hours.hourly_registry import HOURLY_FORECASTERS
from shotspotter_assets.models.next_hours.hourly_stack import MEMBERS, FittedHourlyStack, HourlyStack, combined
from shotspotter_assets.models.probability import clip_probability


@dataclass(frozen=True)
class KeptHourly:
    """A fitted forecaster of which the forecasts of one window are known; see `FittedHourly`.

    `models` are the (issues, forecasts) of each horizon.
    """

    name: str
    models: Mapping[int, tuple[Integers, Array]]
    on_train: "KeptHourly | None" = None

    def predict(self, history: HourlyHistory, issues: Integers, horizon: int) -> Array:
        """Of issues of the window."""
        known, forecasts = self.models[horizon]
        return clip_probability(forecasts[np.searchsorted(known, issues)])

    def files(self) -> dict[str, bytes]:
        """None: the cache has them."""
        return {}


def kept_hourly(fold: HourlyFold, cache: Path, horizons: Sequence[int]) -> dict[str, KeptHourly]:
    """All forecasters but the stack, by name: of the test window, and `on_train` of the validation window.

    What is not in the cache is fitted.
    """
    history = fold.history
    kept = cache / f"{history.city.name}_{fold.cutoff}_members.npz"
    forecasts = dict(np.load(kept)) if kept.exists() else {}
    windows = {"validation": fold.validation, "test": fold.test}
    issues = {(part, h): history.issues(hours, h) for part, hours in windows.items() for h in horizons}
    missing = tuple(horizon for horizon in horizons if f"test_{horizon}_next_hours" not in forecasts)
    names = [name for name in HOURLY_FORECASTERS if name != HourlyStack.name]
    for name in names if missing else ():
        started = time.process_time()
        fitted = HOURLY_FORECASTERS[name](missing).fit(history, fold.train, fold.validation)
        for part, model in (("validation", fitted.on_train), ("test", fitted)):
            for horizon in model.models:
                probability = model.predict(history, issues[part, horizon], horizon)
                forecasts[f"{part}_{horizon}_{name}"] = probability.astype(np.float32)
        seconds = time.process_time() - started
        print(f"{history.city.name} {fold.cutoff} {name}: {seconds:.1f} s of CPU", file=sys.stderr, flush=True)
    if missing:
        # A run that is stopped leaves a whole file.
        partly = kept.with_suffix(".partly.npz")
        np.savez(partly, **forecasts)
        partly.replace(kept)

    def of_window(name: str, part: str) -> dict[int, tuple[Integers, Array]]:
        keys = {horizon: f"{part}_{horizon}_{name}" for horizon in horizons}
        return {h: (issues[part, h], forecasts[key]) for h, key in keys.items() if key in forecasts}

    return {
        name: KeptHourly(name, of_window(name, "test"), KeptHourly(name, of_window(name, "validation")))
        for name in names
    }


def hourly_stack_of(fold: HourlyFold, kept: Mapping[str, KeptHourly], horizons: Sequence[int]) -> FittedHourlyStack:
    """The stack of kept members; its forecasts of the test window move its weights week by week."""
    members = {name: kept[name] for name in MEMBERS}
    return combined(members, fold.history, fold.train, fold.validation, tuple(horizons))
