"""Forecasts of the types of alerts as a table, and the gate that decides whose types are shown."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa

from shotspotter_assets.arrays import Array
from shotspotter_assets.evaluation.gate import MIN_WEEKS
from shotspotter_assets.evaluation.score_rows import TYPES, ScoreTable, type_rows
from shotspotter_assets.models.gunshot_types import (
    TRAILING_DAYS,
    TRAILING_MIX,
    TypedAlerts,
    typed_alerts,
)
from shotspotter_assets.models.history import History
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.trained_models import TrainedModels
from shotspotter_assets.models.type_mixes import type_mixes
from shotspotter_assets.storage.catalogue import FOLD_TYPES

THE_MIX: Final = f"the mix of the last {TRAILING_DAYS} days"


def type_forecasts(models: TrainedModels, history: HourlyHistory, daily: History, test: range) -> pa.Table:
    """Return the forecasts of the typed test alerts by every forecaster of types, issued before their local day."""
    assert models.types is not None
    alerts = typed_alerts(history).within(test)
    rows = history.day_issues(alerts.hour), alerts.hour, alerts.cell
    mixes = type_mixes(models.types, models.next_day, history, daily, rows)
    return types_table(history, alerts, {name: mix() for name, mix in mixes.items()})


def types_table(history: HourlyHistory, alerts: TypedAlerts, mixes: Mapping[str, Array]) -> pa.Table:
    """Return type probabilities of alerts, each of shape (rows, types), as a table of `catalogue.FOLD_TYPES`."""
    row, column = np.nonzero(history.in_coverage)
    when = history.clock.day[alerts.hour], history.clock.hour[alerts.hour]
    values = zip(FOLD_TYPES.schema, (*when, row[alerts.cell], column[alerts.cell], alerts.gunshot_type), strict=True)
    columns = {field.name: pa.array(value, field.type) for field, value in values}
    columns |= {f"{name}_{code}": pa.array(p[:, code]) for name, p in mixes.items() for code in range(p.shape[1])}
    table = pa.table(columns)
    return table.take(pa.array(np.repeat(np.arange(len(table)), alerts.number)))


def shown_types(validated: pa.Table) -> tuple[str | None, str]:
    """Return the best forecaster of types on validation if it is shown to be better than the trailing mix, and the reason.

    Better: the 90% interval of its gain in nats per alert lies above zero, from at least `MIN_WEEKS` weeks.
    """
    scores = ScoreTable(type_rows([validated]))
    best = next(name for name in scores.models(TYPES) if name != TRAILING_MIX)
    gain = scores.gain(TRAILING_MIX, best, TYPES)
    text = f"{gain.text()} nats per alert over {THE_MIX}, from {gain.weeks} weeks of validation"
    if gain.is_shown and gain.weeks >= MIN_WEEKS:
        return best, f"Kinds of gunfire are forecast by {best}: {text}."
    return None, f"No kinds of gunfire are shown, as the best forecast, {best}, is not shown to be better: {text}."
