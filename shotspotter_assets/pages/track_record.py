"""The page of the track record: a verdict on the last year's forecasts, and their scores by month."""

from collections.abc import Collection, Iterable
from dataclasses import asdict
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.arrays import Array
from shotspotter_assets.calendar.dates import dates_of
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.forecasts_table import SERVED, observed_of, pool_tables
from shotspotter_assets.evaluation.gains import table_gain, weekly_gain, weekly_losses, weekly_sums
from shotspotter_assets.evaluation.gate import MIN_POSITIVES, MIN_WEEKS, NEVER, PREDICTED_OVER_OBSERVED, baselines_in
from shotspotter_assets.evaluation.model_card import FLAGGED_PERCENT
from shotspotter_assets.evaluation.scores import AREAS, flagged_shares, ratio, reliability, score_table
from shotspotter_assets.models.city_history import known_history
from shotspotter_assets.models.forecaster_registry import NETWORK
from shotspotter_assets.models.records import FoldRecord
from shotspotter_assets.serving.issued_forecasts import next_day_forecasts
from shotspotter_assets.serving.issued_scores import known_forecasts, scored_days
from shotspotter_assets.serving.risk_tables import is_replayed
from shotspotter_assets.storage.catalogue import FOLD_FORECASTS
from shotspotter_assets.storage.store import Store

TRACK_DAYS: Final = 365  # each season once
FEW_DAYS: Final = 91  # number of forecasts below which test days of folds stand beside them
ISSUED: Final = "issued"
REPLAYED: Final = "replayed"
FROM_FOLD: Final = "from a fold"


def track_record(store: Store, city: City, last: date) -> dict[str, Any] | None:
    """Score the forecasts of the year to the last known day, with `charts` for `track.js`; None without any."""
    first = max(city.start, last - timedelta(days=TRACK_DAYS - 1))
    forecasts = next_day_forecasts(store, city, first, last)
    issued = [day for day, table in forecasts.items() if not is_replayed(table)]
    tables = _of_folds(store, city.name, first, last, issued) if len(forecasts) < FEW_DAYS else []
    # Folds have more baselines than replayed days, and agree with the model card.
    tested = {day for table in tables for day in np.unique(dates_of(table)).tolist()}
    forecasts = {day: table for day, table in forecasts.items() if day not in tested}
    origins = {day: ISSUED if day in issued else REPLAYED for day in forecasts}
    if (history := known_history(store, city, last, min(forecasts, default=last))) is not None:
        tables += filter(None, [scored_days(known_forecasts(forecasts, history), history, "candidate")])
    if not tables:
        return None
    table = pool_tables(tables)
    days, scores, (verdict, best) = dates_of(table), score_table(table), _verdict(table)
    months, (distinct, at) = days.astype("datetime64[M]").astype(str), np.unique(days, return_inverse=True)
    origin = np.array([origins.get(day, FROM_FOLD) for day in distinct.tolist()])[at]
    calibration = reliability(table[SERVED].to_numpy(), observed_of(table))
    titles = {SERVED: "forecast", best: "best simple method", NETWORK: "network"}
    caught = {name: [scores[name][f"hit_rate_{area}"] or 0.0 for area in AREAS] for name in titles if name in scores}
    axis = [0, *AREAS, 100]
    hits = [{"name": titles[one], "x": axis, "y": _percent([0.0, *shares, 1.0])} for one, shares in caught.items()]
    return {
        "first": distinct[0].astype(date),
        "last": distinct[-1].astype(date),
        "has_network": NETWORK in scores,
        "best": best,
        "verdict": verdict,
        "whole": _row("All", "", table, best),
        "months": [
            _row(month, made, table.filter(pa.array((months == month) & (origin == made))), best)
            for month, made in sorted({*zip(months.tolist(), origin.tolist(), strict=True)})
        ],
        "charts": {
            "reliability": {name: _percent(values) for name, values in asdict(calibration).items()},
            "hits": hits,
        },
    }


def _of_folds(store: Store, city: str, first: date, last: date, others: Collection[date]) -> list[pa.Table]:
    """Return the folds' test days from `first` to `last`, except `others`, by the forecaster that each fold would serve."""
    tables = []
    cutoffs = sorted(store.days_present(FOLD_FORECASTS, city))
    for cutoff, next_cutoff in pairwise([*cutoffs, last + timedelta(days=1)]):
        record = FoldRecord.find_sound(store, city, cutoff) if next_cutoff > first else None
        if record is not None:
            table = store.read_table(FOLD_FORECASTS, city, cutoff)
            at = pc.field("date")
            table = table.filter((at >= first) & (at < next_cutoff) & ~at.isin(pa.array(others, pa.date32())))
            tables.append(table.append_column(SERVED, table[record.served]))
    return [table for table in tables if len(table)]


def _verdict(table: pa.Table) -> tuple[dict[str, Any], str]:
    """Compare the cells caught by the served forecast and the best baseline (whose name follows); `light` is a colour."""
    observed, days = observed_of(table), dates_of(table)
    losses = weekly_losses(table, [name for name in baselines_in(table) if name != NEVER]).losses
    best = min(losses, key=lambda name: losses[name].sum())
    flagged = {name: flagged_shares(table[name].to_numpy(), days) for name in (SERVED, best)}
    caught: dict[str, Array] = {name: shares[FLAGGED_PERCENT] * observed for name, shares in flagged.items()}
    # A caught cell counts as a loss of -1, so that the gain is the difference of the shares.
    gain = weekly_gain(weekly_sums(days, observed, {name: -caught[name] for name in caught}), SERVED, best)
    level, (lowest, highest) = ratio(table[SERVED].to_numpy().sum(), observed.sum()), PREDICTED_OVER_OBSERVED
    is_off = level is not None and not lowest <= level <= highest
    light, word = "amber", "No clear difference"
    if gain.weeks < MIN_WEEKS or observed.sum() < MIN_POSITIVES:
        word, is_off = "Too early to tell", False
    elif gain.is_shown:
        light, word = ("amber", "Better, at the wrong level") if is_off else ("green", "Better")
    elif gain.high is not None and gain.high < 0:
        light, word = "red", "Worse"
    shares = {key: ratio(caught[name].sum(), observed.sum()) for key, name in (("caught", SERVED), ("by_best", best))}
    return {"light": light, "word": word, "level": level, "is_off": is_off, **shares}, best


def _row(name: str, made: str, table: pa.Table, best: str) -> dict[str, Any]:
    """Return the cells with an alert of a period, expected and observed, and gains over the best simple method."""
    return {
        "name": name,
        "made": made,
        "days": len(np.unique(dates_of(table))),
        "expected": float(table[SERVED].to_numpy().sum()),
        "observed": int(observed_of(table).sum()),
        "gain": table_gain(table, SERVED, best),
        "network": table_gain(table, NETWORK, best) if NETWORK in table.column_names else None,
    }


def _percent(shares: Iterable[float]) -> list[float]:
    return [100 * share for share in shares]
