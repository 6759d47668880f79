"""The members of a stack, fitted in a fold, and their forecasts, which are kept: what the scripts on real alerts share.

The stack is combined anew from the kept forecasts by the project's own code, so that another way to combine needs no fit.
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from benchmark_cities import Fold

from shotspotter_assets.evaluation.gate import NEVER, baselines_in
from shotspotter_assets.models.forecaster import Choices, FitContext, SharedStart, clip_probability, log_losses
from shotspotter_assets.models.forecaster_registry import BASELINES, StackSettings, forecaster
from shotspotter_assets.models.history import History
from shotspotter_assets.models.stack import FittedStack, Periods, combined, prior_weights
from shotspotter_assets.storage.arrays import Array

MEMBERS = tuple(StackSettings().members)
HINDSIGHT = "best_in_hindsight"
"""Column of the baseline that turned out best in a city, chosen with its test days in sight."""


@dataclass(frozen=True)
class KeptMember:
    """A fitted member of which the forecasts of validation and test window are known; see `Fitted`."""

    fold: Fold
    validation_probability: Array
    test: Array
    chosen: Choices

    def predict(self, history: History, days: range) -> Array:
        """Of days of the test window."""
        first = self.fold.test.start
        return clip_probability(self.test[days.start - first : days.stop - first])

    def files(self) -> dict[str, bytes]:
        """None: the cache has them."""
        return {}


def members_of(
    fold: Fold, cache: Path, names: tuple[str, ...] = MEMBERS, shared: SharedStart | None = None
) -> dict[str, KeptMember]:
    """The members by name, without the model of all cities where there is none; what is not in the cache is fitted."""
    suffix = "" if shared is None else f"_from_{shared.origin.replace('|', '_')}"
    kept = cache / f"{fold.name}{suffix}_members.npz"
    forecasts = dict(np.load(kept)) if kept.exists() else {}
    alone = cache / f"{fold.name}_members.npz"
    if shared is not None and alone.exists():
        # Baselines know one city, whatever the others start at.
        of_baselines = {key: value for key, value in np.load(alone).items() if key.partition("_")[2] in BASELINES}
        forecasts = of_baselines | forecasts
    if shared is None:
        names = tuple(name for name in names if name != "new_city")
    history = fold.history.through(fold.validation.stop)
    for name in names:
        if f"test_{name}" in forecasts:
            continue
        started = time.process_time()
        fitted = forecaster(name).fit(history, fold.train, fold.validation, FitContext(shared))
        forecasts[f"validation_{name}"] = fitted.validation_probability.astype(np.float32)
        forecasts[f"test_{name}"] = fitted.predict(fold.history, fold.test).astype(np.float32)
        forecasts[f"cpu_{name}"] = np.array(time.process_time() - started)
        shown = {key: fitted.chosen.get(key) for key in ("trees", "shared") if key in fitted.chosen}
        print(
            f"{fold.name}{suffix} {name}: {forecasts[f'cpu_{name}']:.1f} s of CPU {json.dumps(shown)}", file=sys.stderr
        )
        # A run that is stopped leaves a whole file.
        partly = kept.with_suffix(".partly.npz")
        np.savez_compressed(partly, **forecasts)
        partly.replace(kept)
    return {
        name: KeptMember(
            fold, clip_probability(forecasts[f"validation_{name}"]), clip_probability(forecasts[f"test_{name}"]), {}
        )
        for name in names
    }


def stack_of(fold: Fold, members: dict[str, KeptMember]) -> FittedStack:
    """The stack of fitted members; its forecasts of the test window move its weights week by week."""
    days = Periods.of_days(fold.history.through(fold.validation.stop))
    return combined(members, days, fold.train, fold.validation, prior_weights(members))


def with_best_in_hindsight(forecasts: pa.Table) -> tuple[pa.Table, str]:
    """(the table of one city with the column `HINDSIGHT`, the baseline that it repeats)."""
    observed = forecasts["observed"].to_numpy().astype(bool)
    baselines = [name for name in baselines_in(forecasts) if name != NEVER]
    best = min(baselines, key=lambda name: log_losses(forecasts[name].to_numpy(), observed).sum())
    return forecasts.append_column(HINDSIGHT, forecasts[best]), best
