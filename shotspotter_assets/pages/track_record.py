"""The page of the track record: how good the issued forecasts were, and what the reports of folds say."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
from shotspotter_assets.calendar.local_time import rows_of_days, wall_clock
from shotspotter_assets.calendar.weekdays import WEEKDAYS, hours_of_day, weekdays
from shotspotter_assets.cities.city import GUNSHOT_TYPES, City
from shotspotter_assets.evaluation.areas import cell_areas
from shotspotter_assets.evaluation.fold_report import FoldReport
from shotspotter_assets.evaluation.forecasts_table import cells_of, days_of, model_names, observed_of
from shotspotter_assets.evaluation.gains import Gain, weekly_gain, weekly_sums
from shotspotter_assets.evaluation.gate import NEVER, TRUTH
from shotspotter_assets.evaluation.reliability import reliability
from shotspotter_assets.evaluation.report_files import fold_partition, read_walk_forward_report, walk_forward_partition
from shotspotter_assets.evaluation.scores import AREAS
from shotspotter_assets.evaluation.street_scores import LENGTHS
from shotspotter_assets.evaluation.table_scores import GroupScores, grouped_scores, score_table
from shotspotter_assets.evaluation.walk_forward_report import WalkForwardReport
from shotspotter_assets.models.city_history import CityHistory, DaysNotKnownError, covered_mask
from shotspotter_assets.models.next_day.baselines import HISTORICAL_MEAN
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.tomorrow import BANDS
from shotspotter_assets.serving.forecast_scores import SERVED, scored_days
from shotspotter_assets.serving.issued_forecasts import forecast_partition, next_day_forecasts
from shotspotter_assets.serving.record import ServingRecord
from shotspotter_assets.serving.risk_tables import TYPE_COLUMNS, lead_of
from shotspotter_assets.serving.street_scores import StreetScoreRecord
from shotspotter_assets.storage.errors import MissingObjectError, MissingPartitionsError
from shotspotter_assets.storage.file_names import CARD_FILE, HOURLY_FILE, REPORT_FILE, picture_file
from shotspotter_assets.storage.store import Store

TRACK_DAYS: Final = 365
"""Issued forecasts of the last year are scored: seasons once each, in seconds."""

ONE_DAY: Final = timedelta(days=1)

NO_DISTRICT: Final = "outside of all districts"

WALK_FORWARD: Final = "walk_forward"


class Skill(BaseModel):
    """How many times as probable a forecast made what happened, by place and day with an alert, as another one did."""

    model_config = ConfigDict(frozen=True)

    factor: float
    low: float | None = None
    """Ends of the 90% interval; None where none was stored, and of too few weeks."""
    high: float | None = None

    @classmethod
    def of(cls, gain: Gain) -> "Skill | None":
        """exp(gain) of a gain in nats; None where it is not defined."""
        if gain.gain is None:
            return None
        low, high = (None if end is None else math.exp(end) for end in (gain.low, gain.high))
        return cls(factor=math.exp(gain.gain), low=low, high=high)


class GroupRow(BaseModel):
    """The served forecasts on one group of days or places."""

    model_config = ConfigDict(frozen=True)

    name: str
    expected: float
    """Cells with an alert, as forecast."""
    came: int
    """Cells with an alert, as it was."""
    skill: Skill | None
    """Over the long-run mean."""


class Curve(BaseModel):
    """A line of a chart."""

    model_config = ConfigDict(frozen=True)

    name: str
    x: list[float]
    y: list[float]


class TrackCharts(BaseModel):
    """What the browser draws."""

    model_config = ConfigDict(frozen=True)

    months: list[GroupRow]
    reliability: Curve
    reliability_low: list[float]
    reliability_high: list[float]
    hits: list[Curve]
    """Share of the cells with an alert by share of the area, both in percent."""


@dataclass(frozen=True)
class IssuedTrack:
    """How the issued forecasts of the last year did."""

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
    """By what the groups are of."""
    counts: dict[str, list[GroupRow]]
    """The same in alerts, without a skill: by hours and by kind."""
    charts: TrackCharts


@dataclass(frozen=True)
class FoldRow:
    """One fold's report."""

    fold: date
    first: date
    last: date
    best: str
    over_mean: Skill | None
    expected_over_came: float | None


@dataclass(frozen=True)
class Folds:
    """What the reports of folds say."""

    rows: list[FoldRow]
    picture: bytes | None
    """PNG of the windows of the folds."""
    report: WalkForwardReport | None
    card: str | None
    """Model card in Markdown."""
    by_hour: list[GroupRow]
    """Of the shortest horizon of hours, by hour of issue."""
    horizon: int | None
    type_skill: Skill | None
    """Of the forecast of types, over the recent mix of types."""


@dataclass(frozen=True)
class LengthRow:
    """What the streets with most expected per metre held, up to a share of the network's length."""

    length: int
    """Percent."""
    hit_rate: float
    """Share of the segments with an alert."""
    pai: float
    """Times as many as on streets chosen at random."""
    mean_hit_rate: float | None
    """Of a ranking by the mean of each street's own past."""


@dataclass(frozen=True)
class StreetTrack:
    """How the issued rankings of streets of the last year did."""

    first: date
    last: date
    days: int
    over_mean: Skill | None
    """Over the mean of each street's own past."""
    expected: float
    """Segments with an alert."""
    came: float
    lengths: list[LengthRow]
    caution: str
    """That points hardly tell streets; "" where they do."""


def street_track(store: Store, city: str, last: date) -> StreetTrack | None:
    """The track record of the issued rankings of streets of the year to the last known day; None without any."""
    records = StreetScoreRecord.of_days(store, city, last - timedelta(days=TRACK_DAYS - 1), last)
    scored = [(record.day, record.scores) for record in records if record.scores is not None]
    if not scored:
        return None
    scores = [of_day for _, of_day in scored]
    compared = [(day, of_day) for day, of_day in scored if of_day.log_loss_of_mean is not None]
    weekly = weekly_sums(
        np.array([day for day, _ in compared], dtype="datetime64[D]"),
        np.array([of_day.observed for _, of_day in compared]),
        {
            "streets": np.array([of_day.log_loss * of_day.segments for _, of_day in compared]),
            "mean": np.array([(of_day.log_loss_of_mean or 0.0) * of_day.segments for _, of_day in compared]),
        },
    )
    came = sum(of_day.observed for of_day in scores)
    lengths = []
    for length in LENGTHS if came else ():
        rate = pooled_rate([(of_day.observed, of_day.hit_rate[length]) for of_day in scores]) or 0.0
        mean = pooled_rate(
            [(each.observed, each.hit_rate_of_mean[length]) for each in scores if each.hit_rate_of_mean is not None]
        )
        lengths.append(LengthRow(length, rate, rate / (length / 100), mean))
    return StreetTrack(
        first=scored[0][0],
        last=scored[-1][0],
        days=len(scored),
        over_mean=Skill.of(weekly_gain(weekly, "streets", "mean")),
        expected=sum(of_day.predicted for of_day in scores),
        came=came,
        lengths=lengths,
        caution=records[-1].caution,
    )


def pooled_rate(rates: Sequence[tuple[float, float | None]]) -> float | None:
    """A share over several periods from (number, share of it or None) of each; None where there is nothing to share."""
    number = sum(of_period for of_period, _ in rates)
    return sum(of_period * rate for of_period, rate in rates if rate is not None) / number if number else None


def issued_track(store: Store, city: City, places: Places, last: date) -> IssuedTrack | None:
    """The track record of the issued forecasts of the year to the last known day; None without any."""
    first = max(city.start, last - timedelta(days=TRACK_DAYS - 1))
    forecasts = next_day_forecasts(store, city, first, last)
    if not forecasts:
        return None
    try:
        history = CityHistory.load(store, city, last, min(forecasts))
    except (DaysNotKnownError, MissingPartitionsError):
        return None
    serving = ServingRecord.latest_before(store, city.name, date.max)
    candidate = "candidate" if serving is None else serving.candidate
    known = {day: table for day, table in sorted(forecasts.items()) if day <= history.last_known}
    table = scored_days(known, history, candidate)
    if table is None:
        return None
    leads = np.repeat([lead_of(each) for each in known.values()], [len(each) for each in known.values()])
    counts = {"Hours": _by_hours(store, history, known), "Kind of gunfire": _by_kind(history, known)}
    return _track(city, places, table, leads, serving, {name: rows for name, rows in counts.items() if rows})


def _by_kind(history: CityHistory, forecasts: Mapping[date, pa.Table]) -> list[GroupRow]:
    """Alerts of each type, as forecast and as they came in the forecast cells, of the days whose types were forecast."""
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
    # A forecast of types is one of those alerts whose type gets known.
    expected *= came.sum() / expected.sum()
    return [
        GroupRow(name=name[:1].upper() + name[1:], expected=float(expected[code]), came=int(came[code]), skill=None)
        for code, name in GUNSHOT_TYPES.items()
    ]


def _by_hours(store: Store, history: CityHistory, forecasts: Mapping[date, pa.Table]) -> list[GroupRow]:
    """Alerts in the bands of hours, as forecast and as they came in the forecast cells."""
    city = history.city
    if city.time_precision == "day":
        return []
    expected, came = np.zeros((2, 24))
    frames = history.frames.filter(pc.is_in(history.frames["gunshot_type"], pa.array(city.forecast_codes, pa.int8())))
    by_day = rows_of_days(frames, list(forecasts))
    for day, table in forecasts.items():
        hourly = store.read_table(forecast_partition(city.name, day - ONE_DAY), HOURLY_FILE, ["starts_utc", "expected"])
        wall = wall_clock(hourly["starts_utc"], city.zone)
        of_day = wall.astype("datetime64[D]") == np.datetime64(day)
        expected += np.bincount(hours_of_day(wall)[of_day], hourly["expected"].to_numpy()[of_day], minlength=24)
        rows = by_day[day]
        covered = covered_mask(list(zip(*cells_of(table), strict=True)), city.shape)
        heard = covered[cells_of(rows)]
        # Hours since midnight: on two days a year an hour off the clock.
        hour = np.minimum(rows["hour"].to_numpy()[heard], 23)
        came += np.bincount(hour, rows["count"].to_numpy()[heard], minlength=24)
    return [
        GroupRow(name=name, expected=float(expected[first:last].sum()), came=int(came[first:last].sum()), skill=None)
        for name, (first, last) in BANDS.items()
    ]


def _track(
    city: City,
    places: Places,
    table: pa.Table,
    leads: npt.NDArray[np.int64],
    serving: ServingRecord | None,
    counts: dict[str, list[GroupRow]],
) -> IssuedTrack:
    observed, probability, days = observed_of(table), table[SERVED].to_numpy(), days_of(table)
    scores = score_table(table)
    baselines = [name for name in model_names(table) if name not in (SERVED, NEVER, TRUTH)]
    best = min(baselines, key=lambda name: scores[name].log_loss)
    if serving is not None and serving.gate.best_baseline in baselines:
        best = serving.gate.best_baseline
    whole = _skills(table, np.full(len(table), "all"), best)["all"]
    calibration = reliability(probability, observed)
    row, column = cells_of(table)
    cells, at = np.unique(np.stack([row, column]), axis=1, return_inverse=True)
    districts = [name or NO_DISTRICT for name in places.districts(*cells)]
    has_districts = set(districts) != {NO_DISTRICT}
    names = districts if has_districts else cell_areas(city).names[tuple(cells)].tolist()
    kinds = np.where(is_holiday_fireworks(days), "days of fireworks", "other days")
    groups = {
        "District" if has_districts else "Area": _rows(table, np.array(names)[at.ravel()]),
        "Weekday": _rows(table, np.array(WEEKDAYS)[weekdays(days)], WEEKDAYS),
        "Kind of day": _rows(table, kinds),
        "Days ahead": _rows(table, leads.astype(str)),
    }
    drawn = list(dict.fromkeys([SERVED, best, HISTORICAL_MEAN]))
    return IssuedTrack(
        first=days.min().astype(date),
        last=days.max().astype(date),
        days=len(np.unique(days)),
        over_mean=_over(whole, HISTORICAL_MEAN),
        over_best=_over(whole, best),
        best_baseline=best,
        expected=float(probability.sum()),
        came=int(observed.sum()),
        hit_5=scores[SERVED].hit_rate[5],
        mean_hit_5=scores[HISTORICAL_MEAN].hit_rate[5],
        groups={name: rows for name, rows in groups.items() if len(rows) > 1},
        counts=counts,
        charts=TrackCharts(
            months=_rows(table, days.astype("datetime64[M]").astype(str)),
            reliability=Curve(name=SERVED, x=calibration.mean_forecast, y=calibration.observed_frequency),
            reliability_low=calibration.low,
            reliability_high=calibration.high,
            hits=[
                Curve(
                    name=_named(name),
                    x=[0.0, *map(float, AREAS), 100.0],
                    y=[0.0, *(100 * (scores[name].hit_rate[area] or 0.0) for area in AREAS), 100.0],
                )
                for name in drawn
            ],
        ),
    )


def _named(model: str) -> str:
    return {SERVED: "what was served", HISTORICAL_MEAN: "long-run mean"}.get(model, model.replace("_", " "))


def _skills(table: pa.Table, groups: npt.NDArray[np.str_], best: str) -> dict[str, dict[str, GroupScores]]:
    """Scores by group, over the long-run mean and over the best baseline."""
    over = {name: grouped_scores(table, groups, name) for name in dict.fromkeys((HISTORICAL_MEAN, best))}
    return {group: {name: by_group[group] for name, by_group in over.items()} for group in over[best]}


def _over(scores: Mapping[str, GroupScores], baseline: str) -> Skill | None:
    return Skill.of(scores[baseline].models[SERVED].gain_over_best_baseline)


def _rows(table: pa.Table, groups: npt.NDArray[np.str_], order: Sequence[str] = ()) -> list[GroupRow]:
    """The served forecasts by group, over the long-run mean."""
    scores = grouped_scores(table, groups, HISTORICAL_MEAN)
    probability = table[SERVED].to_numpy()
    names = [name for name in order if name in scores] or list(scores)
    return [
        GroupRow(
            name=name[:1].upper() + name[1:],
            expected=float(probability[groups == name].sum()),
            came=scores[name].positives,
            skill=Skill.of(scores[name].models[SERVED].gain_over_best_baseline),
        )
        for name in names
    ]


def folds(store: Store, city: str) -> Folds | None:
    """What the reports of a city's folds say; None without any."""
    cutoffs = sorted(store.days_present("evaluation_reports", city, REPORT_FILE, "fold"))
    if not cutoffs:
        return None
    reports = [
        FoldReport.model_validate_json(store.read_bytes(fold_partition(city, fold), REPORT_FILE)) for fold in cutoffs
    ]
    report = card = picture = None
    with suppress(MissingObjectError):
        report = read_walk_forward_report(store, city)
        card = store.read_bytes(walk_forward_partition(city), CARD_FILE).decode()
    with suppress(MissingObjectError):
        picture = store.read_bytes(fold_partition(city, cutoffs[-1]), picture_file(WALK_FORWARD))
    horizon = min(report.horizons, default=None) if report is not None else None
    types = None if report is None else report.gunshot_types
    return Folds(
        rows=[_fold_row(each) for each in reports],
        picture=picture,
        report=report,
        card=card,
        by_hour=[] if report is None or horizon is None else _hours(report, horizon),
        horizon=horizon,
        type_skill=None
        if types is None
        else next((Skill.of(one.gain) for name, one in types.models.items() if name != types.reference), None),
    )


def _fold_row(report: FoldReport) -> FoldRow:
    own = {name: scores for name, scores in report.models.items() if name != TRUTH}
    best = min(own, key=lambda name: own[name].log_loss)
    gain = own[best].gain_nats_per_positive
    return FoldRow(
        fold=report.fold,
        first=report.test_first,
        last=report.test_last,
        best=best,
        over_mean=None if gain is None else Skill(factor=math.exp(gain)),
        expected_over_came=own[best].predicted_over_observed,
    )


def _hours(report: WalkForwardReport, horizon: int) -> list[GroupRow]:
    of_horizon = report.horizons[horizon]
    served = of_horizon.verdict.served
    rows = []
    for hour, scores in sorted(of_horizon.by_hour.items(), key=lambda item: int(item[0])):
        model = scores.models[served]
        gain = model.gain_over_reference
        factor = None if gain is None else Skill(factor=math.exp(gain))
        expected = (model.predicted_over_observed or 0.0) * scores.positives
        rows.append(GroupRow(name=f"{hour}:00", expected=expected, came=scores.positives, skill=factor))
    return rows
