"""Scores of reports as one tidy table: values with intervals by facet, group, model and score."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import product
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shotspotter_assets.cities.city import GUNSHOT_TYPES
from shotspotter_assets.evaluation.estimates import Estimate, Gain, WeeklySums, weekly_gain, weekly_losses, weekly_sums
from shotspotter_assets.evaluation.forecasts_table import model_names, observed_of
from shotspotter_assets.evaluation.scores import WEIGHTS, decisions, score_table
from shotspotter_assets.grid.dates import dates_of
from shotspotter_assets.models.forecaster import MIN_PROBABILITY
from shotspotter_assets.models.forecaster_registry import HISTORICAL_MEAN
from shotspotter_assets.models.gunshot_types import TRAILING_MIX
from shotspotter_assets.storage.arrays import Array
from shotspotter_assets.storage.catalogue import FOLD_SCORES
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import StoredTable

ALL: Final = "all"  # facet of all cell-days, and only group of an undivided facet
WITHOUT_FIREWORKS: Final = "without_firework_days"  # facet of all days except firework days; absent if every day is one
NO_MODEL: Final = ""
REPORTED_ACCURACY: Final = 0.722  # that the reference report states at its class weight of 10:1
REPORTED_WEIGHT: Final = 10
TYPES: Final = "gunshot_types"  # facet of the type scores

Key = tuple[str, str, str, str]  # facet, group, model and score
Rows = dict[Key, Estimate]


@dataclass(frozen=True)
class ScoreTable:
    """The scores of a report."""

    rows: Rows

    @classmethod
    def load(cls, store: Store, file: StoredTable, city: str, cutoff: date | None = None) -> "ScoreTable":
        """Read the scores of a fold or, without a cutoff, of a city."""
        return cls(
            {
                (row["facet"], row["group"], row["model"], row["score"]): Estimate(
                    row["value"], row["low"], row["high"]
                )
                for row in store.read_table(file, city, cutoff).to_pylist()
            }
        )

    def to_arrow(self) -> pa.Table:
        """Return the table to store (`catalogue.FOLD_SCORES`)."""
        columns = zip(*((*key, score.value, score.low, score.high) for key, score in self.rows.items()), strict=True)
        return pa.table([list(column) for column in columns], schema=FOLD_SCORES.schema)

    def value(self, score: str, model: str = NO_MODEL, facet: str = ALL, group: str = ALL) -> float | None:
        """Return a value; None if the score is undefined."""
        return self.rows[facet, group, model, score].value

    def gain(self, over: str, model: str, facet: str = ALL, group: str = ALL) -> Gain:
        """Return the gain of a model over another one, in nats per positive."""
        weeks = int(self.value("weeks", facet=facet, group=group) or 0)
        score = self.rows[facet, group, model, gain_name(over)]
        return Gain(score.value, score.low, score.high, weeks)

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
    observed = observed_of(forecasts)
    scores = score_table(forecasts, reference)
    for name, constant in (("never", 0.0), ("always", 1.0)):
        scores.setdefault(name, decisions(np.full(len(observed), constant), observed))
    return gain_rows(forecasts, baselines, facet, group) | {
        (facet, group, name, score): Estimate(value)
        for name, scores_of_name in scores.items()
        for score, value in scores_of_name.items()
    }


def decision_rows(scores: ScoreTable, models: Iterable[str]) -> list[dict[str, Any]]:
    """Return accuracy and counts of yes-or-no decisions by models, by never and by always, a row for each and weight.

    "accuracy" is equation 6 of the reference report, (TP + TN) / all; in "weighted accuracy" an alert counts `weight` times.
    Yes is decided from the probability "yes from" on, 1 / (1 + weight), where a network of that class weight reaches 0.5.
    """
    titles = {"TP": "true_positives", "TN": "true_negatives", "FP": "false_positives", "FN": "false_negatives"}
    rows = []
    for weight, name in product(WEIGHTS, dict.fromkeys((*models, "never", "always"))):
        counts = {title: int(scores.value(f"{score}_{weight}", name) or 0) for title, score in titles.items()}
        accuracy = (counts["TP"] + counts["TN"]) / sum(counts.values())
        row = {"model": name, "weight": weight, "yes from": 1 / (1 + weight), "accuracy": accuracy}
        rows.append(row | {"weighted accuracy": scores.value(f"accuracy_{weight}", name)} | counts)
    return rows


def beside_the_report(scores: ScoreTable, model: str, days: int, cells: str) -> str:
    """Return a line with a model's accuracy beside that of the reference report, for each class weight of the report."""
    rows = {(row["model"], row["weight"]): row for row in decision_rows(scores, [model])}
    never_right = (1 - REPORTED_ACCURACY) / (1 - REPORTED_ACCURACY + REPORTED_WEIGHT * REPORTED_ACCURACY)
    each = []
    for weight in WEIGHTS:
        odds = f"{weight}:1" if weight >= 1 else f"1:{1 / weight:.0f}"
        own, never, always = (f"{rows[name, weight]['weighted accuracy']:.1%}" for name in (model, "never", "always"))
        accuracy = f"{rows[model, weight]['accuracy']:.1%}"
        each.append(f"{accuracy} (weighted {own}; never {never}, always {always}) at {odds}")
    return (
        f"The 2022 report states an accuracy of {REPORTED_ACCURACY:.1%} at {REPORTED_WEIGHT}:1, without its days and cells. On "
        f"{days:,} days and {cells} cells {model} has, by the report's equation 6, {', '.join(each)}. Weighted, never flagging "
        f"a cell scores {REPORTED_ACCURACY:.1%} at {REPORTED_WEIGHT}:1 where {never_right:.1%} of the cell-days are positive; "
        f"here {scores.value('base_rate'):.1%} are."
    )


def gain_rows(forecasts: pa.Table, over: Sequence[str], facet: str, group: str) -> Rows:
    """Return the size of a forecasts table, and the log loss of each model with its gains over other models."""
    observed = observed_of(forecasts)
    weekly = weekly_losses(forecasts, model_names(forecasts))
    size = {"cell_days": len(observed), "positives": observed.sum(), "base_rate": observed.mean()}
    rows = {(facet, group, NO_MODEL, name): Estimate(float(value)) for name, value in size.items()}
    return rows | loss_rows(weekly, len(observed), over, facet, group)


def type_rows(tables: Sequence[pa.Table]) -> Rows:
    """Return each model's log loss over typed alerts, p scaled to sum to 1, and gain over `TRAILING_MIX`, per alert."""
    alerts = pa.concat_tables(tables)
    alerts = alerts.filter(alerts["gunshot_type"].is_valid())
    observed = alerts["gunshot_type"].to_numpy().astype(np.int64)
    models = [name.removesuffix("_0") for name in alerts.column_names if name.endswith("_0")]
    losses: dict[str, Array] = {}
    for name in models:
        p = np.stack([alerts[f"{name}_{code}"].to_numpy() for code in GUNSHOT_TYPES], axis=1).astype(np.float64)
        p = np.maximum(p, MIN_PROBABILITY)
        losses[name] = -np.log(p[np.arange(len(p)), observed] / p.sum(axis=1))
    weekly = weekly_sums(dates_of(alerts), np.ones(len(alerts)), losses)
    rows = {(TYPES, ALL, NO_MODEL, "alerts"): Estimate(float(len(alerts)))}
    return rows | loss_rows(weekly, len(alerts), [TRAILING_MIX], TYPES, ALL)


def loss_rows(weekly: WeeklySums, number: int, over: Sequence[str], facet: str, group: str) -> Rows:
    """Return the number of weeks, and the mean loss of each model over a number of forecasts, with its gains."""
    rows = {(facet, group, NO_MODEL, "weeks"): Estimate(float(len(weekly.positives)))}
    for name, losses in weekly.losses.items():
        rows[facet, group, name, "log_loss"] = Estimate(float(losses.sum() / number) if number else None)
        for other in over:
            gain = weekly_gain(weekly, name, other)
            rows[facet, group, name, gain_name(other)] = gain
    return rows
