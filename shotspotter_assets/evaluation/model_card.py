"""Model card of a city in Markdown: served forecast, scores of the walk-forward report, and limits."""

from typing import Final

from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.count_scores import count_tables
from shotspotter_assets.evaluation.distribution_scores import COUNTS, YEAR
from shotspotter_assets.evaluation.fold_tables import EVENLY
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets.evaluation.gate import PREDICTED_OVER_OBSERVED
from shotspotter_assets.evaluation.score_rows import ALL, TYPES, WITHOUT_FIREWORKS, ScoreTable
from shotspotter_assets.evaluation.scores import FLAGGED_PERCENT
from shotspotter_assets.evaluation.walk_forward_report import (
    HORIZON,
    MINUTES,
    WalkForwardReport,
    walk_forward_decisions,
)
from shotspotter_assets.models.forecaster_registry import HISTORICAL_MEAN
from shotspotter_assets.models.gunshot_types import TRAILING_MIX
from shotspotter_assets.models.trained_models import WITHOUT_FACTORS
from shotspotter_assets.storage.markdown import plain

NOT_FOR: Final = """\
## What it must not be used for

- Not about persons: no stop, search, arrest, charge or evidence may rest on a flag or on a probability.
- Not to judge a neighbourhood, an officer, or the accuracy of the source.
- Not outside the covered cells, not for another city, and not for events other than those it forecasts.
- Not without a person who decides, writes down why, and can be asked; and not without a way to switch it off.
- Not when neither the forecast nor the best simple method is good enough: see the track record.
"""


def model_card(report: WalkForwardReport, scores: ScoreTable, city: City, approval: str = "") -> str:
    """Return the model card for people who decide on the use of the forecast that the report's verdict serves.

    `approval` is a sentence on who approved the live models, for a city where a person does.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("shotspotter_assets.evaluation"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  Markdown, not HTML; texts from outside pass the filter `plain`
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "percent": lambda share: "-" if share is None else f"{share:.1%}",
        "number": lambda number: "-" if number is None else f"{number:.3f}",
        "plain": plain,
    }
    served = report.verdict.served
    least = min(report.covered_cells.values())
    most = max(report.covered_cells.values())
    return environment.get_template("model_card.md.jinja").render(
        city=city,
        report=report,
        scores=scores,
        within=[scores.value(f"within_80_{part}", SERVED, COUNTS) for part in ("city", "cells")],
        **count_tables(scores),
        counts=COUNTS,
        year=YEAR,
        decisions=walk_forward_decisions(report, scores),
        verdict=report.verdict,
        approval=approval,
        served=served,
        best=report.verdict.best_baseline,
        reference=HISTORICAL_MEAN,
        # Share of flagged cell-days with an alert: PAI times the base rate.
        precision=(scores.value("base_rate") or 0.0) * (scores.value(f"pai_{FLAGGED_PERCENT}", served) or 0.0),
        flagged_percent=FLAGGED_PERCENT,
        covered=f"{least}" if least == most else f"{least} to {most}",
        has_ordinary_days=bool(scores.groups(WITHOUT_FIREWORKS)),
        without_factors=WITHOUT_FACTORS if WITHOUT_FACTORS in scores.models() else "",
        gains_of_hours={
            hours: _gains(scores, HORIZON, str(hours), verdict.best_baseline)
            for hours, verdict in report.horizons.items()
        },
        gains_of_minutes={minutes: _gains(scores, MINUTES, minutes, EVENLY) for minutes in scores.groups(MINUTES)},
        gains_of_types=_gains(scores, TYPES, ALL, TRAILING_MIX) if scores.groups(TYPES) else None,
        trailing_mix=TRAILING_MIX,
        allowed=PREDICTED_OVER_OBSERVED,
        not_for=NOT_FOR,
    )


def _gains(scores: ScoreTable, facet: str, group: str, over: str) -> list[str]:
    """Return the gain over a model, with its interval, of each other model of a group, in words."""
    names = scores.models(facet, group)
    return [f"{name} {scores.gain(over, name, facet, group).text()}" for name in names if name != over]
