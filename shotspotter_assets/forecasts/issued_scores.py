"""Scores of issued forecasts, by day and rolling over weeks, and their stored record."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field
from scipy.special import entr

from shotspotter_assets.cities.local_time import ONE_DAY, ONE_YEAR
from shotspotter_assets.evaluation.count_scores import MEAN_OF_COUNTS, NumberScores, counts_table, number_scores
from shotspotter_assets.evaluation.estimates import MIN_WEEKS, Gain, Level, level_of, table_gain
from shotspotter_assets.evaluation.forecasts_table import SERVED, cells_of, forecasts_table, observed_of, pool_tables
from shotspotter_assets.evaluation.gate import PREDICTED_OVER_OBSERVED, Verdict, baselines_in, verdict_on
from shotspotter_assets.evaluation.scores import score_cell_days
from shotspotter_assets.forecasts.issued_forecasts import (
    CANDIDATE_COLUMN,
    MODEL_PREFIX,
    SHADOW,
    is_replayed,
    lead_of,
    next_day_forecasts,
    shadow_of,
    total_of,
)
from shotspotter_assets.forecasts.serving_record import ServingRecord
from shotspotter_assets.grid.dates import dates_of
from shotspotter_assets.models.alert_counts import CountDistribution
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.forecaster import clip_probability, log_losses
from shotspotter_assets.models.forecaster_registry import BASELINES, HISTORICAL_MEAN, NETWORK
from shotspotter_assets.storage.arrays import Integers
from shotspotter_assets.storage.catalogue import FORECAST_SCORES
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_record import StoredRecord
from shotspotter_assets.storage.wording import number_of

POSITIVES: Final = "positives"  # number of cells with an alert, among the sums of a day
MIN_DAYS_OF_LEVEL: Final = 28  # minimum of scored days for a verdict on predicted / observed


MIN_DAYS: Final = 14  # minimum of scored days for rolling scores
POOLED_LEAD: Final = 15  # longer leads grow day by day, as at quarterly publishers, and are scored together


@dataclass(frozen=True)
class DayScores:
    """Scores of one day; None if undefined."""

    log_loss: float  # mean over the cells, nats
    gain_over_historical_mean: float | None  # nats per positive
    hit_rate_5: float | None  # share of the positives in the 5% of cells with the highest risk
    expected_alerts: float
    observed_alerts: int
    numbers: NumberScores
    sums: dict[str, float] = field(default_factory=dict)
    """Sums over the cells of an issued forecast: `positives`, and the log loss by `SERVED` and baseline, nats; empty for a
    replayed one."""


@dataclass(frozen=True)
class RollingScores:
    """Scores of the served forecasts of the last `SCORED_FORECASTS_DAYS`; units as in `DayScores`."""

    days: int  # number of scored days
    replayed: int  # number of these days whose forecast is replayed
    log_loss: float
    promised_log_loss: float  # mean entropy of the forecasts, their expected log loss if they are calibrated
    predicted_over_observed: float | None  # ratio of the sums of probabilities and positives
    gain_over: dict[str, Gain]  # gain by baseline
    numbers: NumberScores

    @property
    def drift(self) -> float:
        """Excess of the log loss over the promised one, as a share of the latter."""
        return self.log_loss / self.promised_log_loss - 1

    @property
    def is_off(self) -> bool:
        """True if predicted / observed leaves the gate's range on enough days."""
        lowest, highest = PREDICTED_OVER_OBSERVED
        level = self.predicted_over_observed
        return self.days >= MIN_DAYS_OF_LEVEL and level is not None and not lowest <= level <= highest


@dataclass(frozen=True)
class ShadowScores:
    """Scores of the shadow on the known days of a window with its forecast."""

    name: str
    first: date  # first one of these days; the shadow may have run before the window
    days: int
    replayed: int  # number of these days whose forecast is replayed
    gain: Gain  # over what served

    def text(self) -> str:
        """Return the scores in words."""
        start = f"In the shadow: {self.name}, on {number_of(self.days, 'scored day')} since {self.first}"
        replayed = f" ({self.replayed:,} replayed)" if self.replayed else ""
        return f"{start}{replayed}. Gain over what served, nats per positive: {self.gain.text()}."


class ScoreRecord(StoredRecord):
    """Scores of a day and of the weeks to it."""

    stored_as = FORECAST_SCORES

    scored_date: date = Field(description="Last day of the scored days.")
    lead: int = Field(description="Lead of the last scored forecast, days.")
    last_known: date = Field(description="Last day whose alerts are known.")
    note: str | None = Field(description="Reason for no score of the day.")
    scores: DayScores | None = Field(description="Scores of the day; null with a note.")
    rolling: RollingScores | None = Field(description="Scores of the last 91 days; null for fewer than 14 scored days.")
    rolling_gate: Verdict | None = Field(description="Verdict on the candidate, served or not; null for too few weeks.")
    flip_flop: float | None = Field(
        None,
        description="Flip-flop index of the week of plans to the day, or of flagged cells; null if one is missing.",
    )

    level: Level | None = Field(
        None, description="Level of the served forecasts of the last 365 days; null without any."
    )

    shadow: ShadowScores | None = Field(None, description="Scores of the shadow in the last 91 days; null without one.")

    def warnings(self) -> list[str]:
        """Return the problems of the last weeks' forecasts in words."""
        reasons = []
        if self.rolling_gate is not None and not self.rolling_gate.passed:
            reasons.append(f"The rolling gate fails: {' '.join(self.rolling_gate.reasons)}")
        if self.rolling is not None and self.rolling.is_off:
            reasons.append(f"Predicted / observed of the last weeks is {self.rolling.predicted_over_observed:.2f}.")
        return reasons


def score(
    stored: CityHistory,
    forecasts: Mapping[date, pa.Table],
    serving: ServingRecord | None,
    level: Level | None = None,
) -> ScoreRecord:
    """Score the issue date of `stored`, if known, and the weeks to it.

    `stored` are the days to the issue date, at most the last `SCORES_HISTORY_DAYS`; `forecasts` are next-day rows of issued
    forecasts of the last `SCORED_FORECASTS_DAYS`. Of these, the ones with the lead of the last one count, or all from
    `POOLED_LEAD` on.
    """
    scored_date = stored.issue_date
    lead = lead_of(forecasts[max(forecasts)]) if forecasts else 1
    of_lead = {
        day: table for day, table in forecasts.items() if min(lead_of(table), POOLED_LEAD) == min(lead, POOLED_LEAD)
    }
    known = known_forecasts(of_lead, stored)
    candidate = "" if serving is None else serving.candidate
    scored = scored_days(known, stored, candidate)
    note = None
    if stored.lead > 1:
        note = f"Alerts of {scored_date} are not known yet: the last known day is {stored.last_known}."
    elif scored_date not in known:
        note = f"No forecast was issued on {scored_date - timedelta(days=1)}, so {scored_date} has no score."
    return ScoreRecord(
        city=stored.city.name,
        scored_date=scored_date,
        lead=lead,
        last_known=stored.last_known,
        note=note,
        scores=day_scores(known[scored_date], scored_date, stored, candidate) if note is None else None,
        rolling=None if scored is None or len(known) < MIN_DAYS else rolling_scores(scored, known, stored, candidate),
        rolling_gate=None if scored is None or serving is None else rolling_gate(scored, serving),
        level=level,
        shadow=shadow_scores(of_lead, stored),
    )


def issued_level(
    store: Store, stored: CityHistory, column: str = "probability", after: date = date.min
) -> Level | None:
    """Return the level of the served forecasts on the known days of a year later than `after`; None without any.

    With `CANDIDATE_COLUMN`, that of the candidate's forecasts. Both have the number of alerts given one of what was served.
    """
    first = max(after + ONE_DAY, stored.last_known - ONE_YEAR + ONE_DAY, stored.days[0])
    columns = ["horizon", "row", "column", "expected", "probability", CANDIDATE_COLUMN]
    forecasts = next_day_forecasts(store, stored.city, first, stored.last_known, columns)
    known = known_forecasts(forecasts, stored)
    if not known:
        return None
    expected = [
        (table["expected"].to_numpy() * table[column].to_numpy() / table["probability"].to_numpy()).sum()
        for table in known.values()
    ]
    observed = [_alerts_of(table, day, stored).sum() for day, table in known.items()]
    return level_of(np.array(list(known), "datetime64[D]"), np.array(expected), np.array(observed))


def known_forecasts(forecasts: Mapping[date, pa.Table], history: CityHistory) -> dict[date, pa.Table]:
    """Return the forecasts for known days."""
    return {
        day: table
        for day, table in forecasts.items()
        if history.days[0] <= day <= history.last_known and day not in history.unknown
    }


def scored_day(forecast: pa.Table, scored_date: date, history: CityHistory, candidate: str) -> pa.Table:
    """Return next-day rows with the outcome as a forecasts table."""
    others = [name for name in forecast.column_names if name.startswith(MODEL_PREFIX)]
    columns = {"probability": SERVED, CANDIDATE_COLUMN: candidate}
    columns |= {name: name.removeprefix(MODEL_PREFIX) for name in others}
    by_model = {model: forecast[column].to_numpy() for column, model in columns.items()}
    observed = _alerts_of(forecast, scored_date, history)[None] > 0
    return forecasts_table(np.array([scored_date], dtype="datetime64[D]"), cells_of(forecast), observed, by_model)


def _alerts_of(forecast: pa.Table, scored_date: date, history: CityHistory) -> Integers:
    """Return the alerts of a day in the cells of its forecast's rows, shape (rows,)."""
    return history.alerts[(scored_date - history.days[0]).days][cells_of(forecast)]


def scored_days(forecasts: Mapping[date, pa.Table], history: CityHistory, candidate: str) -> pa.Table | None:
    """Join the scored days of known forecasts, none before `history`, with their common models; None without any."""
    tables = [scored_day(table, day, history, candidate) for day, table in sorted(forecasts.items())]
    return pool_tables(tables) if tables else None


def scored_counts(forecasts: Mapping[date, pa.Table], history: CityHistory) -> pa.Table:
    """Return the numbers of known forecasts (`catalogue.FOLD_COUNTS`), the mean of the cell's earlier days and baselines."""
    tables = []
    totals = np.cumsum(history.alerts, axis=0)
    known_days = np.cumsum(history.is_known)
    for scored_date, forecast in sorted(forecasts.items()):
        row, column = cells_of(forecast)
        yesterday = (scored_date - history.days[0]).days - 1
        mean = totals[yesterday][row, column] / max(known_days[yesterday], 1) if yesterday >= 0 else 0.0
        counts = CountDistribution.of_forecast(forecast)
        columns: dict[str, Any] = {
            "date": np.array(scored_date, "datetime64[D]"),
            "row": row,
            "column": column,
            "alerts": _alerts_of(forecast, scored_date, history),
            **total_of(forecast)._asdict(),
            MEAN_OF_COUNTS: mean,
        }
        for name in BASELINES:
            if f"{MODEL_PREFIX}{name}" in forecast.column_names:
                columns[name] = forecast[f"{MODEL_PREFIX}{name}"].to_numpy() * (1 + counts.further)
        tables.append(counts_table(counts, columns))
    return pool_tables(tables)


def day_scores(forecast: pa.Table, scored_date: date, history: CityHistory, candidate: str) -> DayScores:
    """Score one day of a history."""
    scored = scored_day(forecast, scored_date, history, candidate)
    served, reference = (scored[name].to_numpy() for name in (SERVED, HISTORICAL_MEAN))
    scores = score_cell_days(served, observed_of(scored), reference, dates_of(scored))
    losses = {
        name: log_losses(scored[name].to_numpy(), observed_of(scored)) for name in (SERVED, *baselines_in(scored))
    }
    sums = {
        name: float(values.sum())
        for name, values in {POSITIVES: observed_of(scored), **losses}.items()
        if name != candidate
    }
    return DayScores(
        log_loss=scores["log_loss"] or 0.0,
        gain_over_historical_mean=scores["gain_nats_per_positive"],
        hit_rate_5=scores["hit_rate_5"],
        expected_alerts=float(forecast["expected"].to_numpy().sum()),
        observed_alerts=int(_alerts_of(forecast, scored_date, history).sum()),
        numbers=number_scores(scored_counts({scored_date: forecast}, history)),
        sums={} if is_replayed(forecast) else sums,
    )


def rolling_scores(
    scored: pa.Table, forecasts: Mapping[date, pa.Table], history: CityHistory, candidate: str
) -> RollingScores:
    """Score `scored_days` of the forecasts; the candidate's column is no baseline."""
    p = clip_probability(scored[SERVED].to_numpy())
    scores = score_cell_days(p, observed_of(scored), scored[HISTORICAL_MEAN].to_numpy(), dates_of(scored))
    others = [*baselines_in(scored), *({NETWORK} & {*scored.column_names})]
    return RollingScores(
        days=len(forecasts),
        replayed=sum(is_replayed(table) for table in forecasts.values()),
        log_loss=scores["log_loss"] or 0.0,
        promised_log_loss=float((entr(p) + entr(1 - p)).mean()),
        predicted_over_observed=scores["predicted_over_observed"],
        gain_over={name: table_gain(scored, SERVED, name) for name in others if name != candidate},
        numbers=number_scores(scored_counts(forecasts, history)),
    )


def rolling_gate(scored: pa.Table, serving: ServingRecord) -> Verdict | None:
    """Judge the present candidate's forecasts, served or not; None for too few weeks."""
    if serving.candidate_since is not None:
        scored = scored.filter(pc.greater(scored["date"], pa.scalar(serving.candidate_since, pa.date32())))
    if not len(scored):
        return None
    verdict = verdict_on(scored, serving.candidate)
    return verdict if verdict.gain.weeks >= MIN_WEEKS else None


def shadow_scores(forecasts: Mapping[date, pa.Table], history: CityHistory) -> ShadowScores | None:
    """Score the shadow of the newest of some forecasts (next-day rows) on all known days with it; None without any."""
    name = shadow_of(forecasts[max(forecasts)]) if forecasts else ""
    known = known_forecasts(
        {day: table for day, table in forecasts.items() if name and shadow_of(table) == name}, history
    )
    if not known:
        return None
    tables = [
        scored_day(table, day, history, "candidate").append_column(SHADOW, table[SHADOW])
        for day, table in known.items()
    ]
    return ShadowScores(
        name=name,
        first=min(known),
        days=len(known),
        replayed=sum(is_replayed(table) for table in known.values()),
        gain=table_gain(pool_tables(tables), SHADOW, SERVED),
    )
