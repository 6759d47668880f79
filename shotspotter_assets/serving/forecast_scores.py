"""How an issued forecast did on its day, and how the last weeks of forecasts did."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from shotspotter_assets.evaluation.forecasts_table import cells_of, days_of, forecasts_table, observed_of, pool_tables
from shotspotter_assets.evaluation.gains import Gain, table_gain
from shotspotter_assets.evaluation.gate import MIN_WEEKS, PREDICTED_OVER_OBSERVED, Verdict, baselines_in, judge
from shotspotter_assets.evaluation.scores import score_cell_days
from shotspotter_assets.gridding.coverage import estimate_coverage
from shotspotter_assets.models.city_history import CityHistory, covered_mask
from shotspotter_assets.serving.drift import Drift, drift_of
from shotspotter_assets.serving.record import ServingRecord
from shotspotter_assets.serving.risk_tables import BASELINE_PREFIX, CANDIDATE_COLUMN, at_lead, is_replayed, lead_of
from shotspotter_assets.storage.file_names import RECORD_FILE
from shotspotter_assets.storage.store import Partition, Store

FORECAST_SCORES: Final = "forecast_scores"
SERVED: Final = "served"
REFERENCE: Final = "historical_mean"
WINDOWS: Final = (28, 91)
"""Days of the rolling scores; gate and calibration are judged on the longer one."""
MAX_SCORE_AGE: Final = timedelta(days=14)
"""Older scores tell nothing about the model in force."""


@dataclass(frozen=True)
class DayScores:
    """Scores of one day; None where a score is not defined.

    Attributes:
        predicted_cells: sum of the probabilities; `observed_cells` is the number of cells with an alert.
        expected_alerts: of all forecast cells; `observed_alerts` came in them.
    """

    log_loss: float
    brier: float
    gain_over_historical_mean: float | None
    hit_rate: dict[int, float | None]
    predicted_over_observed: float | None
    predicted_cells: float
    observed_cells: int
    expected_alerts: float
    observed_alerts: int


@dataclass(frozen=True)
class RollingScores:
    """Scores of what was served on the last days, and its gain over each baseline."""

    days: int
    positives: int
    log_loss: float
    hit_rate: dict[int, float | None]
    predicted_over_observed: float | None
    gain_over: dict[str, Gain]
    replayed: int = 0
    """Days whose forecast was made in a replay, after its day."""

    @property
    def is_off(self) -> bool:
        """Whether predicted / observed, if the days are enough to tell, leaves what the gate allows."""
        ratio, (lowest, highest) = self.predicted_over_observed, PREDICTED_OVER_OBSERVED
        return self.days >= WINDOWS[0] and ratio is not None and not lowest <= ratio <= highest


@dataclass(frozen=True)
class RollingVerdict(Verdict):
    """The gate on issued forecasts of the candidate, whatever was served."""

    decided: bool
    """False (and passed) where there are too few weeks to tell."""


class ScoreRecord(BaseModel):
    """The scores of a day and of the weeks to it; stored as `record.json`."""

    model_config = ConfigDict(frozen=True)

    city: str
    day: date
    lead: int = 1
    """Days from the last known day to the one that is forecast: of the day's forecast and of all that it is judged with."""
    last_known: date = Field(default_factory=lambda values: values["day"])
    """The last day of which is known what happened; earlier versions took the day itself."""
    note: str | None
    """Why the day has no score."""
    scores: DayScores | None
    rolling: dict[int, RollingScores] | None
    """By number of days, see `WINDOWS`."""
    rolling_gate: RollingVerdict | None
    level_is_off: bool
    """`RollingScores.is_off` of the longer window."""
    drift: Drift

    @classmethod
    def load(cls, store: Store, city: str, day: date) -> "ScoreRecord":
        """The record of a day.

        Raises:
            MissingObjectError: the day was not scored.
        """
        return cls.model_validate_json(store.read_bytes(scores_partition(city, day), RECORD_FILE))

    @classmethod
    def latest_before(cls, store: Store, city: str, day: date, last_known: date = date.max) -> "ScoreRecord | None":
        """The latest record of the days shortly before that rests on no day after the last known one; None without any."""
        scored = store.days_present(FORECAST_SCORES, city, RECORD_FILE)
        recent = (made for made in sorted(scored, reverse=True) if day - MAX_SCORE_AGE <= made < day)
        records = (cls.load(store, city, made) for made in recent)
        return next((record for record in records if record.last_known <= last_known), None)

    @classmethod
    def of_days(cls, store: Store, city: str, first: date, last: date) -> "list[ScoreRecord]":
        """The records of days, sorted, as far as there are any."""
        scored = store.days_present(FORECAST_SCORES, city, RECORD_FILE)
        return [cls.load(store, city, day) for day in sorted(scored) if first <= day <= last]

    def warnings(self) -> list[str]:
        """What is wrong with the forecasts of the last weeks, in words."""
        reasons = []
        if self.rolling_gate is not None and not self.rolling_gate.passed:
            reasons.append(f"The rolling gate says {self.rolling_gate.served}: {' '.join(self.rolling_gate.reasons)}")
        reasons += self.drift.reasons
        if self.level_is_off and self.rolling is not None:
            ratio = self.rolling[WINDOWS[-1]].predicted_over_observed
            reasons.append(f"Predicted / observed of the last weeks is {ratio:.2f}.")
        return reasons


def scores_partition(city: str, day: date) -> Partition:
    """Where a day's scores are."""
    return Partition(FORECAST_SCORES, city, "date", day)


def score(stored: CityHistory, forecasts: Mapping[date, pa.Table], serving: ServingRecord | None) -> ScoreRecord:
    """Scores of the issue date, if it is known, and of the weeks to it: of forecasts issued at the lead of the last one.

    Args:
        stored: `drift.DRIFT_DAYS` to the day that is scored, or as many as there are and are known.
        forecasts: next-day rows of issued forecasts, by the day that they are for.
        serving: what made the latest of them; None where there are none.
    """
    city, day, alerts = stored.city, stored.issue_date, stored.alerts
    lead = lead_of(forecasts[max(forecasts)]) if forecasts else 1
    forecasts = {of_day: table for of_day, table in forecasts.items() if stored.days[0] <= of_day <= stored.last_known}
    candidate, since = ("", None) if serving is None else (serving.candidate, serving.candidate_since)
    scored = {
        forecast_day: scored_day(table, forecast_day, alerts[(forecast_day - stored.days[0]).days], candidate)
        for forecast_day, table in at_lead(forecasts, lead).items()
    }
    note = scores = None
    if day in scored:
        cells = cells_of(forecasts[day])
        expected = float(forecasts[day]["expected"].to_numpy().sum())
        scores = day_scores(scored[day], expected, int(alerts[-1][cells].sum()))
        in_coverage = covered_mask(list(zip(*cells, strict=True)), city.shape)
    else:
        note = (
            f"What happened on {day} is not known yet: the last known day is {stored.last_known}."
            if stored.lead > 1
            else f"No forecast was issued on {day - timedelta(days=1)}, so {day} has no score."
        )
        in_coverage = estimate_coverage(alerts)
    table = pool_tables(list(scored.values())) if scored else None
    replayed = {forecast_day for forecast_day in scored if is_replayed(forecasts[forecast_day])}
    judged = [rows for forecast_day, rows in scored.items() if since is None or forecast_day > since]
    rolling = None if table is None else rolling_scores(table, day, candidate, replayed)
    return ScoreRecord(
        city=city.name,
        day=day,
        lead=lead,
        last_known=stored.last_known,
        note=note,
        scores=scores,
        rolling=rolling,
        rolling_gate=rolling_gate(pool_tables(judged), day, candidate, replayed) if judged else None,
        level_is_off=rolling is not None and rolling[WINDOWS[-1]].is_off,
        drift=drift_of(stored.daily_counts, stored.days[0], in_coverage, city),
    )


def write_scores(store: Store, record: ScoreRecord) -> str:
    """Write the record; returns where it is."""
    partition = scores_partition(record.city, record.day)
    store.write_bytes(partition, RECORD_FILE, record.model_dump_json(indent=1).encode())
    return store.uri(partition, RECORD_FILE)


def scored_day(forecast: pa.Table, day: date, alerts: npt.NDArray[np.integer], candidate: str) -> pa.Table:
    """A day's forecast with what happened, as a forecasts table (see `evaluation.forecasts_table`).

    Args:
        forecast: the rows of the next day of an issued forecast.
        day: the day that it is for.
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
    """`scored_day` of all known days as one forecasts table, with the models that all of them have; None without any.

    Args:
        forecasts: next-day rows of issued forecasts, by the day that they are for.
        history: from the first of these days on.
        candidate: see `scored_day`.
    """
    tables = [
        scored_day(table, day, history.alerts[(day - history.days[0]).days], candidate)
        for day, table in sorted(forecasts.items())
        if day <= history.last_known
    ]
    return pool_tables(tables) if tables else None


def day_scores(scored: pa.Table, expected: float, alerts: int) -> DayScores:
    """Scores of one day.

    Args:
        scored: see `scored_day`.
        expected: alerts that the forecast expected in all its cells.
        alerts: that came in them.
    """
    p, observed = scored[SERVED].to_numpy(), observed_of(scored)
    scores = score_cell_days(p, observed, scored[REFERENCE].to_numpy(), days_of(scored))
    return DayScores(
        log_loss=scores.log_loss,
        brier=float(np.mean((p - observed) ** 2)),
        gain_over_historical_mean=scores.gain_nats_per_positive,
        hit_rate=scores.hit_rate,
        predicted_over_observed=scores.predicted_over_observed,
        predicted_cells=float(p.sum()),
        observed_cells=int(observed.sum()),
        expected_alerts=expected,
        observed_alerts=alerts,
    )


def rolling_scores(
    scored: pa.Table, last: date, candidate: str, replayed: AbstractSet[date] = frozenset()
) -> dict[int, RollingScores]:
    """Scores of the days to `last`, by number of days; `replayed` are the days of replayed forecasts."""
    rolling = {}
    for days in WINDOWS:
        rows = _last_days(scored, last, days)
        observed, scored_days = observed_of(rows), np.unique(days_of(rows))
        scores = score_cell_days(rows[SERVED].to_numpy(), observed, rows[REFERENCE].to_numpy(), days_of(rows))
        rolling[days] = RollingScores(
            days=len(scored_days),
            replayed=len(replayed & set(scored_days.tolist())),
            positives=int(observed.sum()),
            log_loss=scores.log_loss,
            hit_rate=scores.hit_rate,
            predicted_over_observed=scores.predicted_over_observed,
            gain_over={name: table_gain(rows, SERVED, name) for name in baselines_in(rows) if name != candidate},
        )
    return rolling


def rolling_gate(
    scored: pa.Table, last: date, candidate: str, replayed: AbstractSet[date] = frozenset()
) -> RollingVerdict:
    """The gate on the candidate's forecasts of the last 91 days, whatever was served on them."""
    rows = _last_days(scored, last, WINDOWS[-1])
    verdict = vars(judge(rows, candidate))
    weeks, days = verdict["gain"].weeks, set(np.unique(days_of(rows)).tolist())
    in_replay = len(replayed & days)
    words = (f"{in_replay} of the {len(days)} days' forecasts were made in a replay.",) if in_replay else ()
    if weeks >= MIN_WEEKS:
        return RollingVerdict(**verdict | {"reasons": (*verdict["reasons"], *words)}, decided=True)
    reasons = (f"{weeks} weeks of forecasts; the gate decides from {MIN_WEEKS} on.", *words)
    return RollingVerdict(**verdict | {"passed": True, "served": candidate, "reasons": reasons}, decided=False)


def _last_days(scored: pa.Table, last: date, days: int) -> pa.Table:
    first = np.datetime64(last, "D") - np.timedelta64(days - 1, "D")
    return scored.filter(pc.greater_equal(scored["date"], pa.scalar(first.astype(object), pa.date32())))
