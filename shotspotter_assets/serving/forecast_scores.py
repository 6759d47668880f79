"""How an issued forecast did on its day, how the last weeks of forecasts did, and whether the alerts have drifted."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
from shotspotter_assets.calendar.local_time import day_axis
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.forecasts_table import cells_of, days_of, forecasts_table, model_names, observed_of
from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.evaluation.gate import MIN_WEEKS, PREDICTED_OVER_OBSERVED
from shotspotter_assets.evaluation.scores import score_cell_days
from shotspotter_assets.serving.live_gate import gate_of
from shotspotter_assets.serving.live_models import CANDIDATE
from shotspotter_assets.serving.risk_forecasts import BASELINE_PREFIX, CANDIDATE_COLUMN

SERVED: Final = "served"
REFERENCE: Final = "historical_mean"
WINDOWS: Final = (28, 91)
"""Days of the rolling scores; the gate and the level are judged on the longer one."""

BLOCK: Final = 28
MIN_BLOCKS: Final = 6
"""Blocks of the trailing year below which drift is not judged."""
BLOCKS: Final = 13
MAX_Z: Final = 3.5
"""Modified z-score from which a block is an outlier (Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers)."""
MIN_MIX_CHANGE: Final = 0.1
MAX_OUTSIDE: Final = 0.1
"""Share of the last block's alerts outside the covered cells from which the coverage has drifted."""
MIN_OUTSIDE: Final = 10


def scored_day(forecast: pa.Table, day: date, alerts: npt.NDArray[np.integer]) -> pa.Table:
    """A day's forecast with what happened, as a forecasts table (see `evaluation.forecasts_table`).

    Args:
        forecast: the rows of the next day of an issued forecast.
        day: the day that it is for.
        alerts: of the forecast types on that day, shape (rows, columns).
    """
    columns = {SERVED: "probability", CANDIDATE: CANDIDATE_COLUMN}
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


def day_scores(scored: pa.Table, expected: float, alerts: int) -> dict[str, Any]:
    """Scores of one day: JSON values, null where a score is not defined.

    Args:
        scored: see `scored_day`.
        expected: alerts that the forecast expected in all its cells.
        alerts: that came in them.
    """
    p, observed = scored[SERVED].to_numpy(), observed_of(scored)
    scores = score_cell_days(p, observed, scored[REFERENCE].to_numpy(), days_of(scored))
    return {
        "log_loss": scores.log_loss,
        "brier": float(np.mean((p - observed) ** 2)),
        "gain_over_historical_mean": scores.gain_nats_per_positive,
        "hit_rate": {str(area): rate for area, rate in scores.hit_rate.items()},
        "predicted_over_observed": scores.predicted_over_observed,
        "predicted_cells": float(p.sum()),
        "observed_cells": int(observed.sum()),
        "expected_alerts": expected,
        "observed_alerts": alerts,
    }


def rolling_scores(scored: pa.Table, last: date) -> dict[str, dict[str, Any]]:
    """By number of days ("28", "91"): gains of what was served over each baseline, level and hit rate of those days."""
    found = {}
    for days in WINDOWS:
        rows = _last_days(scored, last, days)
        p, observed = rows[SERVED].to_numpy(), observed_of(rows)
        scores = score_cell_days(p, observed, rows[REFERENCE].to_numpy(), days_of(rows))
        found[str(days)] = {
            "days": len(np.unique(days_of(rows))),
            "positives": int(observed.sum()),
            "log_loss": scores.log_loss,
            "hit_rate": {str(area): rate for area, rate in scores.hit_rate.items()},
            "predicted_over_observed": scores.predicted_over_observed,
            "gain_over": {name: asdict(table_gain(rows, SERVED, name)) for name in baselines_of(rows)},
        }
    return found


def rolling_gate(scored: pa.Table, last: date) -> dict[str, Any]:
    """The gate on the candidate's forecasts of the last 91 days, whatever was served on them.

    Returns:
        `evaluation.gate.Verdict` as JSON, with "decided": false (and "passed": true) where there are too few weeks to
        say anything.
    """
    rows = _last_days(scored, last, WINDOWS[-1])
    verdict = gate_of(rows, CANDIDATE, baselines_of(rows))
    if verdict["gain"]["weeks"] >= MIN_WEEKS:
        return verdict | {"decided": True}
    words = f"{verdict['gain']['weeks']} weeks of forecasts; the gate decides from {MIN_WEEKS} on."
    return verdict | {"decided": False, "passed": True, "served": CANDIDATE, "reasons": [words]}


def level_is_off(rolling: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether predicted / observed of the last 91 days, if they are enough to say so, leaves what the gate allows."""
    longest = rolling[str(WINDOWS[-1])]
    ratio, (lowest, highest) = longest["predicted_over_observed"], PREDICTED_OVER_OBSERVED
    return longest["days"] >= WINDOWS[0] and ratio is not None and not lowest <= ratio <= highest


def drift_of(
    counts: npt.NDArray[np.integer], first_day: date, covered: npt.NDArray[np.bool_], city: City
) -> dict[str, Any]:
    """Whether the last 28 days are unlike the blocks of 28 days of the year before them; firework days are left out.

    A value of the last block is an outlier if it lies more than 3.5 robust standard deviations (1.4826 times the median
    absolute deviation, at least what chance alone gives) from the median of the blocks. The seasons are among the blocks,
    so that an ordinary summer is no drift.

    Args:
        counts: shape (days, layers, rows, columns); the last year or so to the scored day.
        first_day: local day of `counts[0]`.
        covered: cells that are forecast, shape (rows, columns).

    Returns:
        "rate", "mix" and "coverage", each with "drifted" and its numbers; "drifted" and "reasons" of all.
    """
    days = day_axis(first_day, len(counts))
    forecast = counts[:, list(city.forecast_codes)].sum(axis=(2, 3), dtype=np.int64)
    ordinary = ~is_holiday_fireworks(days)
    bounds = [(max(len(days) - BLOCK * (at + 1), 0), len(days) - BLOCK * at) for at in range(BLOCKS + 1)]
    blocks = [forecast[start:stop][ordinary[start:stop]] for start, stop in bounds if stop - start == BLOCK]
    rate, mix = _rate_drift(blocks), _mix_drift(blocks, city)
    inside = counts[-BLOCK:, list(city.forecast_codes)].sum(axis=(0, 1), dtype=np.int64)
    outside, total = int(inside[~covered].sum()), int(inside.sum())
    share = outside / total if total else 0.0
    coverage = {
        "drifted": outside >= MIN_OUTSIDE and share > MAX_OUTSIDE,
        "alerts_outside": outside,
        "share_outside": share,
    }
    reasons = []
    if rate["drifted"]:
        reasons.append(
            f"{rate['recent']:.2f} alerts a day in the last {BLOCK} days, {rate['usual']:.2f} in the year before."
        )
    reasons += [
        f"Share of {name}: {of['recent']:.0%} in the last {BLOCK} days, {of['usual']:.0%} in the year before."
        for name, of in mix["types"].items()
        if of["drifted"]
    ]
    if coverage["drifted"]:
        reasons.append(f"{share:.0%} of the alerts of the last {BLOCK} days lie outside the cells that are forecast.")
    return {"rate": rate, "mix": mix, "coverage": coverage, "drifted": bool(reasons), "reasons": reasons}


def baselines_of(scored: pa.Table) -> tuple[str, ...]:
    """The baselines of a table of `scored_day`."""
    return tuple(name for name in model_names(scored) if name not in (SERVED, CANDIDATE))


def _last_days(scored: pa.Table, last: date, days: int) -> pa.Table:
    first = np.datetime64(last, "D") - np.timedelta64(days - 1, "D")
    return scored.filter(pc.greater_equal(scored["date"], pa.scalar(first.astype(object), pa.date32())))


def _rate_drift(blocks: Sequence[npt.NDArray[np.int64]]) -> dict[str, Any]:
    rates = np.array([block.sum() / max(len(block), 1) for block in blocks])
    return _outlier(rates, floor=np.sqrt(max(np.median(rates[1:]), 1e-9) / BLOCK) if len(rates) > 1 else 1.0)


def _mix_drift(blocks: Sequence[npt.NDArray[np.int64]], city: City) -> dict[str, Any]:
    names = [city.type_names[code] for code in city.forecast_codes]
    totals = [block.sum(axis=0) for block in blocks]
    shares = np.array([of / max(of.sum(), 1) for of in totals]).reshape(len(totals), len(names))
    types = {}
    for at, name in enumerate(names):
        usual = float(np.median(shares[1:, at])) if len(shares) > 1 else 0.0
        chance = np.sqrt(max(usual * (1 - usual), 1e-3) / max(totals[0].sum(), 1)) if totals else 1.0
        of = _outlier(shares[:, at], floor=chance)
        types[name] = of | {"drifted": of["drifted"] and abs(of["recent"] - of["usual"]) >= MIN_MIX_CHANGE}
    return {"drifted": any(of["drifted"] for of in types.values()), "types": types}


def _outlier(values: npt.NDArray[np.float64], floor: float) -> dict[str, Any]:
    """Whether the first value is an outlier among the others; not decided where there are few."""
    if len(values) <= MIN_BLOCKS:
        recent = float(values[0]) if len(values) else 0.0
        return {"drifted": False, "decided": False, "recent": recent, "usual": 0.0, "z": None}
    usual = float(np.median(values[1:]))
    deviation = max(1.4826 * float(np.median(np.abs(values[1:] - usual))), float(floor))
    z = (float(values[0]) - usual) / deviation
    return {"drifted": abs(z) > MAX_Z, "decided": True, "recent": float(values[0]), "usual": usual, "z": z}
