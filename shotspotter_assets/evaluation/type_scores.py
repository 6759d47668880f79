"""Scores of the forecast gunshot type of an alert, given that there is one, against the recent mix of types."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.calendar.dates import dates_of
from shotspotter_assets.cities.city import GUNSHOT_TYPES
from shotspotter_assets.evaluation.gains import weekly_gain, weekly_sums
from shotspotter_assets.evaluation.score_rows import ALL, NO_MODEL, Rows, Score, gain_name
from shotspotter_assets.models.probability import MIN_PROBABILITY

TRAILING_MIX: Final = "trailing_mix"
"""The mix of types in the last 90 days, the reference of the type scores."""
TYPES: Final = "gunshot_types"
"""Facet of the type scores."""


def type_rows(tables: Sequence[pa.Table]) -> Rows:
    """Return the log loss of each model over all typed alerts, and its gain over `TRAILING_MIX` in nats per alert.

    Log loss is -mean(ln p of the observed type), p scaled to sum to 1 over the types. Tables are `catalogue.FOLD_TYPES`.
    """
    alerts = pa.concat_tables(tables)
    alerts = alerts.filter(alerts["gunshot_type"].is_valid())
    observed = alerts["gunshot_type"].to_numpy().astype(np.int64)
    models = [name.removesuffix("_0") for name in alerts.column_names if name.endswith("_0")]
    losses = {name: _losses(alerts, name, observed) for name in models}
    weekly = weekly_sums(dates_of(alerts), np.ones(len(alerts)), losses)
    rows = {(TYPES, ALL, NO_MODEL, "alerts"): Score(float(len(alerts)))}
    rows[TYPES, ALL, NO_MODEL, "weeks"] = Score(float(len(weekly.positives)))
    for name, of_model in losses.items():
        gain = weekly_gain(weekly, name, TRAILING_MIX)
        rows[TYPES, ALL, name, "log_loss"] = Score(float(of_model.mean()) if len(of_model) else None)
        rows[TYPES, ALL, name, gain_name(TRAILING_MIX)] = Score(*gain.interval)
    return rows


def _losses(alerts: pa.Table, model: str, observed: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    p = np.stack([alerts[f"{model}_{code}"].to_numpy() for code in GUNSHOT_TYPES], axis=1).astype(np.float64)
    p = np.maximum(p, MIN_PROBABILITY)
    return np.asarray(-np.log(p[np.arange(len(p)), observed] / p.sum(axis=1)))
