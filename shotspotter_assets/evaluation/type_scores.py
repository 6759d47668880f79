"""Scores of the forecast gunshot type of an alert, given that there is one, against the recent mix of types."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.cities.city import GUNSHOT_TYPES
from shotspotter_assets.evaluation.forecasts_table import days_of
from shotspotter_assets.evaluation.gains import weekly_gain, weekly_sums
from shotspotter_assets.evaluation.score_rows import ALL, NO_MODEL, Rows, Score, gain_name
from shotspotter_assets.models.probability import MIN_PROBABILITY

TRAILING_MIX: Final = "trailing_mix"
"""The forecast of a type by its share in the last 90 days; the reference of the type scores."""
TYPES: Final = "gunshot_types"
"""Facet of the type scores."""


def type_rows(tables: Sequence[pa.Table]) -> Rows:
    """Scores of each model over all alerts of known type, pooled over the folds; forecasts are scaled to sum to 1.

    Log loss is -mean(ln p of the type that came), Brier score the mean of sum_k (p_k - o_k)^2 over the types (Brier 1950,
    as it was first defined), and gains are over the reference in nats per alert.

    Args:
        tables: one row per alert, `date`, `gunshot_type` (0, 1, 2 or null) and the columns `<model>_0`, `_1`, `_2` of
            each model, `trailing_mix` among them.

    Raises:
        ValueError: there is no `trailing_mix`, or a forecast is not a number.
    """
    shared = set.intersection(*(set(table.column_names) for table in tables))
    named = [name.removesuffix("_0") for name in tables[0].column_names if name.endswith("_0")]
    models = [name for name in named if all(f"{name}_{code}" in shared for code in GUNSHOT_TYPES)]
    if TRAILING_MIX not in models:
        raise ValueError(
            f"The type forecasts have {', '.join(models) or 'no model'} but not the reference {TRAILING_MIX!r}."
        )
    columns = [f"{name}_{code}" for name in models for code in GUNSHOT_TYPES]
    pooled = pa.concat_tables([table.select(["date", "gunshot_type", *columns]) for table in tables])
    typed = pooled.filter(pooled["gunshot_type"].is_valid())
    gunshot_type = typed["gunshot_type"].to_numpy().astype(np.int64)
    probability = {name: _probability(typed, name) for name in models}
    losses = {name: -np.log(p[np.arange(len(typed)), gunshot_type]) for name, p in probability.items()}
    weekly = weekly_sums(days_of(typed), np.ones(len(typed)), losses)
    one_hot = np.eye(len(GUNSHOT_TYPES))[gunshot_type]
    numbers: dict[tuple[str, str], float | None] = {
        (NO_MODEL, "alerts"): float(len(typed)),
        (NO_MODEL, "alerts_of_unknown_type"): float(len(pooled) - len(typed)),
        (NO_MODEL, "weeks"): float(len(weekly.positives)),
    }
    for name, values in {NO_MODEL: one_hot, **probability}.items():
        numbers |= {(name, f"share_of_type_{code}"): _mean(values[:, code]) for code in GUNSHOT_TYPES}
    for name, p in probability.items():
        numbers[name, "log_loss"], numbers[name, "brier"] = _mean(losses[name]), _mean(((p - one_hot) ** 2).sum(axis=1))
    rows = {(TYPES, ALL, *key): Score(value) for key, value in numbers.items()}
    for name in models:
        gain = weekly_gain(weekly, name, TRAILING_MIX)
        rows[TYPES, ALL, name, gain_name(TRAILING_MIX)] = Score(gain.gain, gain.low, gain.high)
    return rows


def _probability(forecasts: pa.Table, model: str) -> npt.NDArray[np.float64]:
    p = np.stack([forecasts[f"{model}_{code}"].to_numpy() for code in GUNSHOT_TYPES], axis=1).astype(np.float64)
    if np.isnan(p).any():
        raise ValueError(f"{int(np.isnan(p).any(axis=1).sum())} of {len(p)} type forecasts of {model} are not numbers.")
    p = np.maximum(p, MIN_PROBABILITY)
    return p / p.sum(axis=1, keepdims=True)


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None
