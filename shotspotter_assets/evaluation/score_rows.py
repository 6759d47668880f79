"""Scores of reports as one tidy table: values with intervals by facet, group, model and score."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from shotspotter_assets.evaluation.forecasts_table import model_names, observed_of
from shotspotter_assets.evaluation.gains import Gain, weekly_gain, weekly_losses
from shotspotter_assets.evaluation.scores import decisions, score_table
from shotspotter_assets.models.next_day.baselines import HISTORICAL_MEAN
from shotspotter_assets.storage.catalogue import FOLD_SCORES
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import StoredTable

ALL: Final = "all"
"""Facet of all cell-days, and only group of an undivided facet."""
WITHOUT_FIREWORKS: Final = "without_firework_days"
"""Facet of all days except firework days; absent without any such day."""
NO_MODEL: Final = ""

Key = tuple[str, str, str, str]
"""Facet, group, model and score."""


class Score(NamedTuple):
    """A value with the ends of its interval; None if undefined."""

    value: float | None
    low: float | None = None
    high: float | None = None


Rows = dict[Key, Score]


@dataclass(frozen=True)
class ScoreTable:
    """The scores of a report."""

    rows: Rows

    @classmethod
    def load(cls, store: Store, file: StoredTable, city: str, cutoff: date | None = None) -> "ScoreTable":
        """Read the scores of a fold or, without a cutoff, of a city."""
        table = store.read_table(file, city, cutoff)
        columns = [table[name].to_pylist() for name in FOLD_SCORES.columns]
        return cls({(*row[:4],): Score(*row[4:]) for row in zip(*columns, strict=True)})

    def to_arrow(self) -> pa.Table:
        """Return the table to store (`catalogue.FOLD_SCORES`)."""
        columns = zip(*((*key, *score) for key, score in self.rows.items()), strict=True)
        return pa.table([list(column) for column in columns], schema=FOLD_SCORES.schema)

    def value(self, score: str, model: str = NO_MODEL, facet: str = ALL, group: str = ALL) -> float | None:
        """Return a value; None if the score is undefined."""
        return self.rows[facet, group, model, score].value

    def gain(self, over: str, model: str, facet: str = ALL, group: str = ALL) -> Gain:
        """Return the gain of a model over another one, in nats per positive."""
        weeks = int(self.value("weeks", facet=facet, group=group) or 0)
        return Gain(*self.rows[facet, group, model, gain_name(over)], weeks)

    def groups(self, facet: str) -> list[str]:
        """Return the groups of a facet in order."""
        return list(dict.fromkeys(key[1] for key in self.rows if key[0] == facet))

    def models(self, facet: str = ALL, group: str = ALL) -> list[str]:
        """Return the models of a group, the one with the least log loss first."""
        of_group = [key[2] for key in self.rows if key[:2] == (facet, group) and key[3] == "log_loss"]
        return sorted(of_group, key=lambda name: self.value("log_loss", name, facet, group) or 0.0)


def gain_name(over: str) -> str:
    """Return the name of the gain over another model among the scores."""
    return f"gain_over_{over}"


def all_rows(
    forecasts: pa.Table, baselines: Sequence[str], facet: str = ALL, group: str = ALL, reference: str = HISTORICAL_MEAN
) -> Rows:
    """Return all scores of a forecasts table with gains over each baseline, and the decisions of never and always."""
    if not len(forecasts):
        return {}
    observed, rows = observed_of(forecasts), gain_rows(forecasts, baselines, facet, group)
    scores = score_table(forecasts, reference)
    for name, constant in (("never", 0.0), ("always", 1.0)):
        scores.setdefault(name, decisions(np.full(len(observed), constant), observed))
    for name, own in scores.items():
        rows |= {(facet, group, name, score): Score(value) for score, value in own.items()}
    return rows


def gain_rows(forecasts: pa.Table, over: Sequence[str], facet: str, group: str) -> Rows:
    """Return the size of a forecasts table, and the log loss of each model with its gains over other models."""
    observed, names = observed_of(forecasts), model_names(forecasts)
    weekly = weekly_losses(forecasts, names)
    size = {"cell_days": len(observed), "positives": observed.sum(), "base_rate": observed.mean()}
    size["weeks"] = len(weekly.positives)
    rows = {(facet, group, NO_MODEL, name): Score(float(value)) for name, value in size.items()}
    for name in names:
        rows[facet, group, name, "log_loss"] = Score(float(weekly.losses[name].sum() / len(observed)))
        for other in over:
            gain = weekly_gain(weekly, name, other)
            rows[facet, group, name, gain_name(other)] = Score(*gain.interval)
    return rows
