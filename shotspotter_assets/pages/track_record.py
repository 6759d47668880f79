"""The page of the track record: scores of the issued forecasts, and the reports of folds."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.calendar.dates import WEEKDAYS, hours_of_day, is_holiday_fireworks, weekdays
from shotspotter_assets.calendar.local_time import rows_of_days
from shotspotter_assets.cities.city import GUNSHOT_TYPES, City
from shotspotter_assets.evaluation.areas import cell_areas
from shotspotter_assets.evaluation.fold_report import FoldReport
from shotspotter_assets.evaluation.forecasts_table import cells_of, days_of, model_names, observed_of
from shotspotter_assets.evaluation.gains import Gain, table_gain, weekly_gain, weekly_sums
from shotspotter_assets.evaluation.gate import NEVER
from shotspotter_assets.evaluation.report_files import (
    read_fold_report,
    read_walk_forward_report,
    walk_forward_partition,
)
from shotspotter_assets.evaluation.scores import AREAS, reliability, score_table
from shotspotter_assets.evaluation.street_scores import LENGTHS
from shotspotter_assets.evaluation.type_scores import TRAILING_MIX, TYPES
from shotspotter_assets.evaluation.walk_forward_report import WalkForwardReport
from shotspotter_assets.models.city_history import CityHistory, DaysNotKnownError, covered_mask
from shotspotter_assets.models.next_day.baselines import HISTORICAL_MEAN
from shotspotter_assets.pages.hours import Hours
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.tomorrow import BANDS
from shotspotter_assets.serving.forecast_scores import SERVED, scored_days
from shotspotter_assets.serving.issued_forecasts import next_day_forecasts
from shotspotter_assets.serving.record import ServingRecord
from shotspotter_assets.serving.risk_tables import TYPE_COLUMNS, lead_of
from shotspotter_assets.serving.street_scores import StreetScoreRecord
from shotspotter_assets.storage.errors import MissingObjectError, MissingPartitionsError
from shotspotter_assets.storage.file_names import CARD_FILE, REPORT_FILE
from shotspotter_assets.storage.store import Store

TRACK_DAYS: Final = 365
"""Days of issued forecasts that are scored: each season once."""

NO_DISTRICT: Final = "outside of all districts"


@dataclass(frozen=True)
class Skill:
    """Factor by which a forecast made the outcome more probable than another forecast, by place and day with an alert.

    The ends of the 90% interval are None where none was stored, and for too few weeks.
    """

    factor: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, gain: Gain) -> "Skill | None":
        """Return exp(gain) of a gain in nats; None where the gain is not defined."""
        if gain.gain is None:
            return None
        low, high = (None if end is None else math.exp(end) for end in (gain.low, gain.high))
        return cls(math.exp(gain.gain), low, high)


@dataclass(frozen=True)
class GroupRow:
    """The served forecasts on one group of days or places: cells with an alert (or alerts), and skill over the mean."""

    name: str
    expected: float
    came: int
    skill: Skill | None = None


@dataclass(frozen=True)
class IssuedTrack:
    """Scores of the issued forecasts of the last year."""

    first: date
    last: date
    days: int
    over_mean: Skill | None
    over_best: Skill | None
    best_baseline: str
    expected: float
    came: int
    hit_5: float | None
    mean_hit_5: float | None
    groups: dict[str, list[GroupRow]]
    """Cells with an alert by group, by the title of the grouping."""
    counts: dict[str, list[GroupRow]]
    """Alerts by hours and by kind."""
    charts: dict[str, Any]
    """Skill over the long-run mean by month, reliability, and the share of the cells with an alert by share of the area, in
    percent, as `track.js` draws them."""


@dataclass(frozen=True)
class Folds:
    """The reports of a city's folds."""

    rows: list[tuple[FoldReport, str, Skill | None, float | None]]
    """Each with its best forecast, the skill of that over the long-run mean, and expected alerts over those that came."""
    report: WalkForwardReport | None
    card: str | None
    """Model card in Markdown."""
    type_skill: Skill | None
    """Skill of the forecast of types over the recent mix of types."""


@dataclass(frozen=True)
class StreetTrack:
    """Scores of the issued rankings of streets of the last year; numbers of segments with an alert."""

    first: date
    last: date
    days: int
    over_mean: Skill | None
    """Skill over the mean of each street's own past."""
    expected: float
    came: float
    lengths: list[tuple[int, float | None, float | None]]
    """Percent of the network's length, and the share of segments with an alert on the riskiest streets of that length:
    by the forecast, and by the mean of each street's own past."""
    caution: str
    """A sentence where points hardly tell streets apart, else ""."""


def street_track(store: Store, city: str, last: date) -> StreetTrack | None:
    """Pool the scores of the rankings of streets of the year to the last known day; None without any."""
    records = StreetScoreRecord.of_days(store, city, last - timedelta(days=TRACK_DAYS - 1), last)
    scored = [(record.day, record.scores) for record in records if record.scores is not None]
    if not scored:
        return None
    scores = [of_day for _, of_day in scored]
    compared = [(day, of_day, of_day.log_loss_of_mean) for day, of_day in scored if of_day.log_loss_of_mean is not None]
    weekly = weekly_sums(
        np.array([day for day, *_ in compared], dtype="datetime64[D]"),
        np.array([of_day.observed for _, of_day, _ in compared]),
        {
            "streets": np.array([of_day.log_loss * of_day.segments for _, of_day, _ in compared]),
            "mean": np.array([of_mean * of_day.segments for _, of_day, of_mean in compared]),
        },
    )
    came = sum(of_day.observed for of_day in scores)
    with_mean = [(each.observed, each.hit_rate_of_mean) for each in scores if each.hit_rate_of_mean is not None]
    return StreetTrack(
        first=scored[0][0],
        last=scored[-1][0],
        days=len(scored),
        over_mean=Skill.of(weekly_gain(weekly, "streets", "mean")),
        expected=sum(of_day.predicted for of_day in scores),
        came=came,
        lengths=[
            (length, _pooled((each.observed, each.hit_rate[length]) for each in scores),
             _pooled((observed, of_mean[length]) for observed, of_mean in with_mean))
            for length in (LENGTHS if came else ())
        ],
        caution=records[-1].caution,
    )  # fmt: skip


def _pooled(rates: Iterable[tuple[float, float | None]]) -> float | None:
    """Pool (number, share) over several periods; None where there is nothing to share."""
    pairs = [(number, rate or 0.0) for number, rate in rates]
    number = sum(of_period for of_period, _ in pairs)
    return sum(of_period * rate for of_period, rate in pairs) / number if number else None


def issued_track(store: Store, city: City, places: Places, last: date) -> IssuedTrack | None:
    """Score the issued forecasts of the year to the last known day; None without any."""
    first = max(city.start, last - timedelta(days=TRACK_DAYS - 1))
    forecasts = next_day_forecasts(store, city, first, last)
    if not forecasts:
        return None
    try:
        history = CityHistory.load(store, city, last, min(forecasts))
    except (DaysNotKnownError, MissingPartitionsError):
        return None
    serving = ServingRecord.latest_before(store, city.name, date.max)
    known = {day: table for day, table in sorted(forecasts.items()) if day <= history.last_known}
    table = scored_days(known, history, "candidate" if serving is None else serving.candidate)
    if table is None:
        return None
    observed, probability, days = observed_of(table), table[SERVED].to_numpy(), days_of(table)
    scores = score_table(table)
    baselines = [name for name in model_names(table) if name not in (SERVED, NEVER)]
    best = min(baselines, key=lambda name: scores[name]["log_loss"] or 0.0)
    if serving is not None and serving.gate.best_baseline in baselines:
        best = serving.gate.best_baseline
    leads = np.repeat([lead_of(each) for each in known.values()], [len(each) for each in known.values()])
    groups = {
        **_rows_by_area(city, places, table),
        "Weekday": _rows(table, np.array(WEEKDAYS)[weekdays(days)], WEEKDAYS),
        "Kind of day": _rows(table, np.where(is_holiday_fireworks(days), "days of fireworks", "other days")),
        "Days ahead": _rows(table, leads.astype(str)),
    }
    counts = {"Hours": _by_hours(store, history, known), "Kind of gunfire": _by_kind(history, known)}
    months = [(row.name, row.skill) for row in _rows(table, days.astype("datetime64[M]").astype(str)) if row.skill]
    calibration = reliability(probability, observed)
    return IssuedTrack(
        first=days.min().astype(date),
        last=days.max().astype(date),
        days=len(np.unique(days)),
        over_mean=Skill.of(table_gain(table, SERVED, HISTORICAL_MEAN)),
        over_best=Skill.of(table_gain(table, SERVED, best)),
        best_baseline=best,
        expected=float(probability.sum()),
        came=int(observed.sum()),
        hit_5=scores[SERVED]["hit_rate_5"],
        mean_hit_5=scores[HISTORICAL_MEAN]["hit_rate_5"],
        groups={name: rows for name, rows in groups.items() if len(rows) > 1},
        counts={name: rows for name, rows in counts.items() if rows},
        charts={
            "months": {
                "x": [name for name, _ in months],
                "y": [skill.factor for _, skill in months],
                "low": [skill.low or skill.factor for _, skill in months],
                "high": [skill.high or skill.factor for _, skill in months],
            },
            "reliability": {
                "x": _percent(calibration.mean_forecast),
                "y": _percent(calibration.observed_frequency),
                "low": _percent(calibration.low),
                "high": _percent(calibration.high),
            },
            "hits": [
                {
                    "name": {SERVED: "what was served", HISTORICAL_MEAN: "long-run mean"}.get(name, name.replace("_", " ")),
                    "x": [0.0, *AREAS, 100.0],
                    "y": [0.0, *_percent(scores[name][f"hit_rate_{area}"] or 0.0 for area in AREAS), 100.0],
                }
                for name in dict.fromkeys([SERVED, best, HISTORICAL_MEAN])
            ],
        },
    )  # fmt: skip


def _rows_by_area(city: City, places: Places, table: pa.Table) -> dict[str, list[GroupRow]]:
    """Score by district; without districts by the areas of reports."""
    cells, at = np.unique(np.stack(cells_of(table), axis=1), axis=0, return_inverse=True)
    districts = places.districts(*cells.T)
    if any(districts):
        return {"District": _rows(table, np.array([name or NO_DISTRICT for name in districts])[at.ravel()])}
    return {"Area": _rows(table, cell_areas(city).names[tuple(cells.T)][at.ravel()])}


def _by_kind(history: CityHistory, forecasts: Mapping[date, pa.Table]) -> list[GroupRow]:
    """Count alerts of each type, as forecast and as they came in the forecast cells, on days with a forecast of types."""
    expected, came = np.zeros((2, len(TYPE_COLUMNS)))
    for day, table in forecasts.items():
        if table[TYPE_COLUMNS[0]].null_count:
            continue
        alerts = table["expected"].to_numpy()
        expected += [float((alerts * table[name].to_numpy()).sum()) for name in TYPE_COLUMNS]
        counts = history.daily_counts[(day - history.days[0]).days]
        came += counts[: len(TYPE_COLUMNS), *cells_of(table)].sum(axis=1)
    if not came.any():
        return []
    # The forecast of types is about the alerts whose type becomes known.
    expected *= came.sum() / expected.sum()
    return [GroupRow(_capital(name), float(expected[code]), int(came[code])) for code, name in GUNSHOT_TYPES.items()]


def _by_hours(store: Store, history: CityHistory, forecasts: Mapping[date, pa.Table]) -> list[GroupRow]:
    """Count alerts in the bands of hours, as forecast and as they came in the forecast cells."""
    city = history.city
    if city.time_precision == "day":
        return []
    expected, came = np.zeros((2, 24))
    frames = history.frames.filter(pc.is_in(history.frames["gunshot_type"], pa.array(city.forecast_codes, pa.int8())))
    by_day = rows_of_days(frames, list(forecasts))
    for day, table in forecasts.items():
        hours = Hours.read(store, city, day)
        by_hour = hours.expected.sum(axis=1) * hours.is_of_day
        expected += np.bincount(hours_of_day(hours.wall), by_hour, minlength=24)
        rows = by_day[day]
        covered = covered_mask(list(zip(*cells_of(table), strict=True)), city.shape)[cells_of(rows)]
        # Hours since midnight: on two days a year an hour off the clock.
        hour = np.minimum(rows["hour"].to_numpy()[covered], 23)
        came += np.bincount(hour, rows["count"].to_numpy()[covered], minlength=24)
    return [
        GroupRow(name, float(expected[first:last].sum()), int(came[first:last].sum()))
        for name, (first, last) in BANDS.items()
    ]


def _percent(shares: Iterable[float]) -> list[float]:
    return [100 * share for share in shares]


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def _rows(table: pa.Table, groups: npt.NDArray[np.str_], order: Sequence[str] = ()) -> list[GroupRow]:
    """Score the served forecasts by group."""
    present = np.unique(groups).tolist()
    rows = []
    for name in [name for name in order if name in present] or present:
        of_group = table.filter(pa.array(groups == name))
        expected, came = float(of_group[SERVED].to_numpy().sum()), int(observed_of(of_group).sum())
        rows.append(GroupRow(_capital(name), expected, came, Skill.of(table_gain(of_group, SERVED, HISTORICAL_MEAN))))
    return rows


def folds(store: Store, city: str) -> Folds | None:
    """Read the reports of a city's folds; None without any."""
    cutoffs = sorted(store.days_present("evaluation_reports", city, REPORT_FILE, "fold"))
    if not cutoffs:
        return None
    rows = []
    for fold, scores in (read_fold_report(store, city, cutoff) for cutoff in cutoffs):
        best = scores.models()[0]
        gain = scores.value("gain_nats_per_positive", best)
        over_mean = None if gain is None else Skill(math.exp(gain))
        rows.append((fold, best, over_mean, scores.value("predicted_over_observed", best)))
    try:
        report, scores = read_walk_forward_report(store, city)
        card = store.read_bytes(walk_forward_partition(city), CARD_FILE).decode()
    except MissingObjectError:
        return Folds(rows, report=None, card=None, type_skill=None)
    types = [name for name in scores.models(TYPES) if name != TRAILING_MIX]
    type_skill = Skill.of(scores.gain(TRAILING_MIX, types[0], TYPES)) if types else None
    return Folds(rows, report, card, type_skill)
