"""Scores of a forecasts table as rows for people, the best model first."""

from dataclasses import dataclass

import pyarrow as pa

from shotspotter_assets.evaluation.forecasts_table import model_names, observed_of
from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.evaluation.scores import score_table
from shotspotter_assets.models.next_day.baselines import HISTORICAL_MEAN
from shotspotter_assets.models.next_hours.baseline import Climatology


@dataclass(frozen=True)
class ScoreRow:
    """The scores of one model; those that are not defined are "-"."""

    model: str
    log_loss: str
    gain: str
    """In nats per cell and period with an alert, over the reference, with its 90% interval."""
    average_precision: str
    hit_rate_5: str
    predicted_over_observed: str


def score_rows(table: pa.Table) -> list[ScoreRow]:
    """A row for each model of a forecasts table."""
    reference = reference_of(table)
    scores = score_table(table, reference)
    return [
        ScoreRow(
            model=name,
            log_loss=f"{own.log_loss:.5f}",
            gain=table_gain(table, name, reference).text("+.3f"),
            average_precision=_text(own.average_precision, ".3f"),
            hit_rate_5=_text(own.hit_rate[5], ".0%"),
            predicted_over_observed=_text(own.predicted_over_observed, ".2f"),
        )
        for name, own in sorted(scores.items(), key=lambda item: item[1].log_loss)
    ]


def reference_of(table: pa.Table) -> str:
    """What skill is measured against: the historical mean of days, the climatology of hours."""
    return HISTORICAL_MEAN if HISTORICAL_MEAN in model_names(table) else Climatology.name


def size_of(table: pa.Table) -> str:
    """How many rows and alerts the scores are of, in words."""
    return f"{len(table):,} cells and periods, {int(observed_of(table).sum()):,} with an alert"


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"
