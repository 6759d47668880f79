"""Scores of the forecast gunshot type of an alert, given that there is one, against the recent mix of types."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.cities.city import GUNSHOT_TYPES
from shotspotter_assets.evaluation.forecasts_table import days_of
from shotspotter_assets.evaluation.gains import Gain, weekly_gain, weekly_sums
from shotspotter_assets.models.probability import MIN_PROBABILITY

TRAILING_MIX: Final = "trailing_mix"
"""The forecast of a type by its share in the last 90 days; the reference of the type scores."""


@dataclass(frozen=True)
class TypeModelScores:
    """Scores of a model's types; None without alerts.

    Log loss is -mean(ln p of the type that came), Brier score the mean of sum_k (p_k - o_k)^2 over the types (Brier 1950, as
    it was first defined), and `gain` is over the reference in nats per alert.
    """

    log_loss: float | None
    brier_score: float | None
    mean_forecast: dict[str, float]
    gain: Gain


@dataclass(frozen=True)
class TypeScores:
    """Scores by model over the alerts of known type, and the `share` of each type among them."""

    alerts: int
    alerts_of_unknown_type: int
    reference: str
    share: dict[str, float]
    models: dict[str, TypeModelScores]


def type_models(forecasts: pa.Table) -> list[str]:
    """Models with a column `<model>_<type>` for every gunshot type, in the order of the table."""
    names = [name.removesuffix("_0") for name in forecasts.column_names if name.endswith("_0")]
    return [name for name in names if all(f"{name}_{code}" in forecasts.column_names for code in GUNSHOT_TYPES)]


def type_scores(tables: Sequence[pa.Table]) -> TypeScores:
    """Scores of each model over all alerts of known type, pooled over the folds; forecasts are scaled to sum to 1.

    Args:
        tables: one row per alert, `date`, `gunshot_type` (0, 1, 2 or null) and the columns `<model>_0`, `_1`, `_2` of
            each model, `trailing_mix` among them.

    Raises:
        ValueError: there is no `trailing_mix`, or a forecast is not a number.
    """
    models = [name for name in type_models(tables[0]) if all(name in type_models(table) for table in tables)]
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
    return TypeScores(
        alerts=len(typed),
        alerts_of_unknown_type=len(pooled) - len(typed),
        reference=TRAILING_MIX,
        share=_by_type(one_hot),
        models={
            name: TypeModelScores(
                log_loss=float(losses[name].mean()) if len(typed) else None,
                brier_score=float(((p - one_hot) ** 2).sum(axis=1).mean()) if len(typed) else None,
                mean_forecast=_by_type(p),
                gain=weekly_gain(weekly, name, TRAILING_MIX),
            )
            for name, p in probability.items()
        },
    )


def _probability(forecasts: pa.Table, model: str) -> npt.NDArray[np.float64]:
    p = np.stack([forecasts[f"{model}_{code}"].to_numpy() for code in GUNSHOT_TYPES], axis=1).astype(np.float64)
    if np.isnan(p).any():
        raise ValueError(f"{int(np.isnan(p).any(axis=1).sum())} of {len(p)} type forecasts of {model} are not numbers.")
    p = np.maximum(p, MIN_PROBABILITY)
    return p / p.sum(axis=1, keepdims=True)


def _by_type(values: npt.NDArray[np.float64]) -> dict[str, float]:
    return {GUNSHOT_TYPES[code]: float(values[:, code].mean()) for code in GUNSHOT_TYPES} if len(values) else {}
