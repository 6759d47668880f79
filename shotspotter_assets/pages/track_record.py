"""The page of the track record: scores of the last year's forecasts, together and by month."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY, ONE_YEAR
from shotspotter_assets.evaluation.count_scores import distribution_rows, stored_distributions
from shotspotter_assets.evaluation.estimates import Estimate, Gain, table_gain, weekly_losses
from shotspotter_assets.evaluation.forecasts_table import SERVED, observed_of, pool_tables
from shotspotter_assets.evaluation.gate import NEVER, baselines_in
from shotspotter_assets.evaluation.scores import AREAS, FLAGGED_PERCENT, reliability, score_table
from shotspotter_assets.evaluation.walk_forward_report import tested_days
from shotspotter_assets.forecasts.issued_forecasts import IN_SERVICE, day_states, next_day_forecasts
from shotspotter_assets.forecasts.issued_scores import (
    ShadowScores,
    known_forecasts,
    scored_counts,
    scored_days,
    shadow_scores,
)
from shotspotter_assets.grid.dates import dates_of
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.forecaster_registry import NETWORK
from shotspotter_assets.storage.arrays import Names
from shotspotter_assets.storage.store import Store

FEW_DAYS: Final = 91  # number of forecasts below which test days of folds stand beside them
ISSUED: Final = "issued"
REPLAYED: Final = "replayed"
FROM_FOLD: Final = "from a fold"


class TrackRow(NamedTuple):
    """Forecasts of a period and origin: cells with an alert, and gains over the best simple method."""

    name: str
    made: str  # origin of the forecasts, in words
    days: int
    expected: float
    observed: int
    gain: Gain
    network: Gain | None  # gain of the network alone


@dataclass(frozen=True)
class TrackRecord:
    """Scores of the forecasts of a year."""

    first: date
    last: date
    best: str  # the best simple method
    caught: float | None  # share of the cells with an alert that flagged cells catch; None without alerts
    caught_by_best: float | None
    whole: TrackRow
    months: Sequence[TrackRow]
    charts: Mapping[str, object]  # for `track.js`
    totals: Mapping[str, Estimate]  # scores of the city's number by name; empty if no distribution of it is stored
    shadow: ShadowScores | None

    @property
    def has_network(self) -> bool:
        """True if forecasts of the network alone are scored."""
        return self.whole.network is not None


def track_record(store: Store, city: City, last: date, first: date | None = None) -> TrackRecord | None:
    """Score the forecasts from `first`, by default of a year, to the last known day; None without any."""
    first = first or max(city.start, last - ONE_YEAR + ONE_DAY)
    forecasts = _scored_forecasts(store, city, first, last)
    if forecasts is None:
        return None
    table, origin, totals, shadow = forecasts
    days = dates_of(table)
    months = days.astype("datetime64[M]").astype(str)
    scores = score_table(table)
    best = weekly_losses(table, baselines_in(table)).best(name for name in baselines_in(table) if name != NEVER)
    calibration = reliability(table[SERVED].to_numpy(), observed_of(table))
    return TrackRecord(
        first=days.min().astype(date),
        last=days.max().astype(date),
        best=best,
        caught=scores[SERVED][f"hit_rate_{FLAGGED_PERCENT}"],
        caught_by_best=scores[best][f"hit_rate_{FLAGGED_PERCENT}"],
        whole=_row("All", "", table, best),
        months=[
            _row(month, made, table.filter(pa.array((months == month) & (origin == made))), best)
            for month, made in sorted({*zip(months.tolist(), origin.tolist(), strict=True)})
        ],
        charts={
            "reliability": {name: _percent(values) for name, values in asdict(calibration).items()},
            "hits": _curves(scores, best),
        },
        totals=totals,
        shadow=shadow,
    )


def _scored_forecasts(
    store: Store, city: City, first: date, last: date
) -> tuple[pa.Table, Names, dict[str, Estimate], ShadowScores | None] | None:
    """Return the scored forecasts from `first` to `last`, the origin of each row, the totals, and the shadow; None without any.

    While few forecasts are stored, the test days of folds stand beside them.
    """
    forecasts = next_day_forecasts(store, city, first, last)
    states = day_states(store, city, first, last)
    issued = [day for day in forecasts if states[day] in IN_SERVICE]
    tables = [*_of_folds(store, city.name, first, last, issued)] if len(forecasts) < FEW_DAYS else []
    # Folds have more baselines than replayed days, and agree with the model card.
    tested = {day for table in tables for day in np.unique(dates_of(table)).tolist()}
    forecasts = {day: table for day, table in forecasts.items() if day not in tested}
    origins = {day: ISSUED if day in issued else REPLAYED for day in forecasts}
    totals: dict[str, Estimate] = {}
    shadow = None
    history = CityHistory.find(store, city, last, min(forecasts, default=last))
    if history is not None and (known := known_forecasts(forecasts, history)):
        tables += filter(None, [scored_days(known, history, "candidate")])
        totals = _totals(scored_counts(known, history))
        shadow = shadow_scores(known, history)
    if not tables:
        return None
    table = pool_tables(tables)
    return table, np.array([origins.get(day, FROM_FOLD) for day in dates_of(table).tolist()]), totals, shadow


def _totals(counts: pa.Table) -> dict[str, Estimate]:
    """Return the scores of the city's number by the served forecast, by name, and their days; none without distributions."""
    rows = distribution_rows(counts)
    scores = {score: value for (_, _, method, score), value in rows.items() if method == SERVED}
    stored, _ = stored_distributions(counts)
    return {**scores, "days": Estimate(float(len(stored["date"].unique())))} if scores else {}


def _curves(scores: Mapping[str, Mapping[str, float | None]], best: str) -> list[dict[str, object]]:
    """Return the share of cells with an alert that is caught, by share of the area, for each shown forecast."""
    titles = {SERVED: "forecast", best: "best simple method", NETWORK: "network"}
    caught = {name: [scores[name][f"hit_rate_{area}"] or 0.0 for area in AREAS] for name in titles if name in scores}
    axis = [0, *AREAS, 100]
    return [{"name": titles[name], "x": axis, "y": _percent([0.0, *shares, 1.0])} for name, shares in caught.items()]


def _of_folds(store: Store, city: str, first: date, last: date, others: Collection[date]) -> Iterator[pa.Table]:
    """Yield the folds' test days from `first` to `last`, except `others`, by the forecaster that each fold would serve."""
    for record, forecasts in tested_days(store, city, first, last):
        table = forecasts.filter(~pc.field("date").isin(pa.array(others, pa.date32())))
        if len(table):
            yield table.append_column(SERVED, table[record.served])


def _row(name: str, made: str, table: pa.Table, best: str) -> TrackRow:
    """Return the row of a period, whose forecasts have the origin `made`."""
    return TrackRow(
        name=name,
        made=made,
        days=len(np.unique(dates_of(table))),
        expected=float(table[SERVED].to_numpy().sum()),
        observed=int(observed_of(table).sum()),
        gain=table_gain(table, SERVED, best),
        network=table_gain(table, NETWORK, best) if NETWORK in table.column_names else None,
    )


def _percent(shares: Iterable[float]) -> list[float]:
    return [100 * share for share in shares]
