"""Scores of issued forecasts: of one day, and rolling over the last weeks."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.evaluation.forecasts_table import cells_of, days_of, forecasts_table, observed_of, pool_tables
from shotspotter_assets.evaluation.gains import Gain, table_gain
from shotspotter_assets.evaluation.gate import MIN_WEEKS, PREDICTED_OVER_OBSERVED, Verdict, baselines_in, judge
from shotspotter_assets.evaluation.scores import score_cell_days
from shotspotter_assets.gridding.coverage import estimate_coverage
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.serving.daily_record import DailyRecord
from shotspotter_assets.serving.drift import Drift, drift_of
from shotspotter_assets.serving.record import ServingRecord
from shotspotter_assets.serving.risk_tables import BASELINE_PREFIX, CANDIDATE_COLUMN, at_lead, is_replayed, lead_of

FORECAST_SCORES: Final = "forecast_scores"
SERVED: Final = "served"
REFERENCE: Final = "historical_mean"
WINDOWS: Final = (28, 91)
"""Days of the rolling scores; the gate judges the longer window."""
MIN_SHARE_SCORED: Final = 0.5
"""Minimum share of a window's days with a score for the window to be stated."""


@dataclass(frozen=True)
class DayScores:
    """Scores of one day; None where a score is not defined. `predicted_cells` is the sum of the probabilities."""

    log_loss: float
    brier: float
    gain_over_historical_mean: float | None
    hit_rate_5: float | None
    predicted_over_observed: float | None
    predicted_cells: float
    observed_cells: int
    expected_alerts: float
    observed_alerts: int


@dataclass(frozen=True)
class RollingScores:
    """Scores of the served forecasts of a window of so many scored `days`, and their gain over each baseline."""

    days: int
    positives: int
    log_loss: float
    hit_rate_5: float | None
    predicted_over_observed: float | None
    gain_over: dict[str, Gain]
    replayed: int
    """Scored days whose forecast was made after its day."""

    @property
    def is_off(self) -> bool:
        """Whether predicted / observed leaves the range that the gate allows; False where the days are too few."""
        ratio, (lowest, highest) = self.predicted_over_observed, PREDICTED_OVER_OBSERVED
        return self.days >= WINDOWS[0] and ratio is not None and not lowest <= ratio <= highest


@dataclass(frozen=True)
class RollingVerdict(Verdict):
    """The gate on issued forecasts of the candidate, whether it was served or not."""

    decided: bool
    """False (and passed) where there are too few weeks for a verdict."""


class ScoreRecord(DailyRecord):
    """The scores of a day and of the weeks to it; stored as `record.json`."""

    asset = FORECAST_SCORES

    lead: int
    """Days from the last known day to the forecast day, of all scored forecasts."""
    last_known: date
    note: str | None
    """The reason for no score of the day."""
    scores: DayScores | None
    rolling: dict[int, RollingScores]
    """By number of days (`WINDOWS`), for windows with enough scored days."""
    rolling_gate: RollingVerdict | None
    level_is_off: bool
    """`RollingScores.is_off` of the longest window."""
    drift: Drift

    def warnings(self) -> list[str]:
        """Problems of the forecasts of the last weeks, in words."""
        reasons = []
        if self.rolling_gate is not None and not self.rolling_gate.passed:
            reasons.append(f"The rolling gate fails: {' '.join(self.rolling_gate.reasons)}")
        reasons += self.drift.reasons
        if self.level_is_off and self.rolling:
            ratio = self.rolling[max(self.rolling)].predicted_over_observed
            reasons.append(f"Predicted / observed of the last weeks is {ratio:.2f}.")
        return reasons


def score(stored: CityHistory, forecasts: Mapping[date, pa.Table], serving: ServingRecord | None) -> ScoreRecord:
    """Scores of the issue date, if it is known, and of the weeks to it: of forecasts issued at the lead of the last one.

    Args:
        stored: the last `drift.DRIFT_DAYS` days, or fewer.
        forecasts: next-day rows of issued forecasts, by forecast day.
        serving: the record of the latest of them; None where there are none.
    """
    city, day, alerts = stored.city, stored.issue_date, stored.alerts
    lead = lead_of(forecasts[max(forecasts)]) if forecasts else 1
    candidate, since = ("", None) if serving is None else (serving.candidate, serving.candidate_since)
    known = {at: table for at, table in at_lead(forecasts, lead).items() if stored.days[0] <= at <= stored.last_known}
    scored = {at: scored_day(table, at, alerts[(at - stored.days[0]).days], candidate) for at, table in known.items()}
    note = scores = None
    if day in scored:
        cells = cells_of(known[day])
        expected = float(known[day]["expected"].to_numpy().sum())
        scores = day_scores(scored[day], expected, int(alerts[-1][cells].sum()))
        in_coverage = np.zeros(city.shape, dtype=bool)
        in_coverage[cells] = True
    else:
        note = (
            f"What happened on {day} is not known yet: the last known day is {stored.last_known}."
            if stored.lead > 1
            else f"No forecast was issued on {day - timedelta(days=1)}, so {day} has no score."
        )
        in_coverage = estimate_coverage(alerts)
    replayed = {at for at, table in known.items() if is_replayed(table)}
    of_candidate = [rows for at, rows in scored.items() if since is None or at > since]
    rolling = rolling_scores(pool_tables(list(scored.values())), day, candidate, replayed) if scored else {}
    return ScoreRecord(
        city=city.name,
        day=day,
        lead=lead,
        last_known=stored.last_known,
        note=note,
        scores=scores,
        rolling=rolling,
        rolling_gate=rolling_gate(pool_tables(of_candidate), day, candidate, replayed) if of_candidate else None,
        level_is_off=bool(rolling) and rolling[max(rolling)].is_off,
        drift=drift_of(stored.daily_counts, stored.days[0], in_coverage, city),
    )


def scored_day(forecast: pa.Table, day: date, alerts: npt.NDArray[np.integer], candidate: str) -> pa.Table:
    """A day's forecast with the outcome, as a forecasts table (see `evaluation.forecasts_table`).

    Args:
        forecast: the next-day rows of an issued forecast for `day`.
        day: forecast day.
        alerts: of the forecast types on that day, shape (rows, columns).
        candidate: name of the candidate's column in the table.
    """
    columns = {SERVED: "probability", candidate: CANDIDATE_COLUMN}
    columns |= {
        name.removeprefix(BASELINE_PREFIX): name for name in forecast.column_names if name.startswith(BASELINE_PREFIX)
    }
    cells = cells_of(forecast)
    return forecasts_table(
        np.array([day], dtype="datetime64[D]"),
        cells,
        alerts[cells][None] > 0,
        {model: forecast[column].to_numpy() for model, column in columns.items()},
    )


def scored_days(forecasts: Mapping[date, pa.Table], history: CityHistory, candidate: str) -> pa.Table | None:
    """`scored_day` of all known days as one forecasts table, with their common models; None without any.

    `history` starts on the first forecast day or before; the other arguments are those of `score` and `scored_day`.
    """
    tables = [
        scored_day(table, day, history.alerts[(day - history.days[0]).days], candidate)
        for day, table in sorted(forecasts.items())
        if day <= history.last_known
    ]
    return pool_tables(tables) if tables else None


def day_scores(scored: pa.Table, expected: float, alerts: int) -> DayScores:
    """Scores of a `scored_day`, with the expected and the observed number of alerts in its cells."""
    p, observed = scored[SERVED].to_numpy(), observed_of(scored)
    scores = score_cell_days(p, observed, scored[REFERENCE].to_numpy(), days_of(scored))
    return DayScores(
        log_loss=scores["log_loss"] or 0.0,
        brier=scores["brier"] or 0.0,
        gain_over_historical_mean=scores["gain_nats_per_positive"],
        hit_rate_5=scores["hit_rate_5"],
        predicted_over_observed=scores["predicted_over_observed"],
        predicted_cells=float(p.sum()),
        observed_cells=int(observed.sum()),
        expected_alerts=expected,
        observed_alerts=alerts,
    )


def rolling_scores(
    scored: pa.Table, last: date, candidate: str, replayed: AbstractSet[date] = frozenset()
) -> dict[int, RollingScores]:
    """Scores of the windows to `last` with enough `scored_days`, by number of days.

    The candidate's column is no baseline; `replayed` are days whose forecast was made after them.
    """
    rolling = {}
    for days in WINDOWS:
        rows = _last_days(scored, last, days)
        observed, scored_on = observed_of(rows), set(np.unique(days_of(rows)).tolist())
        if len(scored_on) < MIN_SHARE_SCORED * days:
            continue
        scores = score_cell_days(rows[SERVED].to_numpy(), observed, rows[REFERENCE].to_numpy(), days_of(rows))
        rolling[days] = RollingScores(
            days=len(scored_on),
            replayed=len(replayed & scored_on),
            positives=int(observed.sum()),
            log_loss=scores["log_loss"] or 0.0,
            hit_rate_5=scores["hit_rate_5"],
            predicted_over_observed=scores["predicted_over_observed"],
            gain_over={name: table_gain(rows, SERVED, name) for name in baselines_in(rows) if name != candidate},
        )
    return rolling


def rolling_gate(
    scored: pa.Table, last: date, candidate: str, replayed: AbstractSet[date] = frozenset()
) -> RollingVerdict:
    """The gate on the candidate's forecasts of the last 91 days, whether it was served or not; see `rolling_scores`."""
    rows = _last_days(scored, last, WINDOWS[-1])
    verdict = vars(judge(rows, candidate))
    weeks, days = verdict["gain"].weeks, set(np.unique(days_of(rows)).tolist())
    late = len(replayed & days)
    words = (f"{late} of the {len(days)} days' forecasts were made after their day.",) if late else ()
    if weeks >= MIN_WEEKS:
        return RollingVerdict(**verdict | {"reasons": (*verdict["reasons"], *words)}, decided=True)
    reasons = (f"{weeks} weeks of forecasts; the gate decides from {MIN_WEEKS} on.", *words)
    return RollingVerdict(**verdict | {"passed": True, "served": candidate, "reasons": reasons}, decided=False)


def _last_days(scored: pa.Table, last: date, days: int) -> pa.Table:
    return scored.filter(pc.greater(scored["date"], pa.scalar(last - timedelta(days=days), pa.date32())))
