"""Who carries a forecast's flags: how many see nothing, in which areas they lie, and how often the same cells are flagged.

Needs no data about people; what it can say about fairness is where the flags fall, not on whom.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.evaluation.areas import CellAreas
from shotspotter_assets.evaluation.forecasts_table import cells_of, days_of, observed_of
from shotspotter_assets.evaluation.scores import flagged_shares

FLAGGED_PERCENT: Final = 5
"""The shipped threshold: this share of the covered cells is flagged each day."""
ALMOST_ALWAYS: Final = 0.9
TOP_CELLS: Final = 10


def burden(forecasts: pa.Table, model: str, areas: CellAreas, percent: int = FLAGGED_PERCENT) -> dict[str, Any]:
    """The burden of one model's flags, as JSON values.

    Cells that tie for the last places of a day are flagged in part, so the sums are those of breaking ties at random.

    Args:
        forecasts: one row per day and covered cell (see `evaluation.forecasts_table`); days without a row have no flags.
        model: its column.
        areas: of the city's cells.
        percent: flagged share of the covered cells, one of `evaluation.scores.AREAS`.

    Returns:
        `flagged_cells_per_day`, `precision` (flagged cell-days with an alert / flagged cell-days), `empty_of_ten` (of
        ten flagged cells, how many see nothing), `hit_rate`, `by_area` (shares of the covered, flagged and alert
        cell-days, and the precision), and `repeats`: covered cells that are never flagged, cells flagged on almost
        all days, the longest run of days on which one cell was flagged, and the most flagged cells.
    """
    observed, days = observed_of(forecasts), days_of(forecasts)
    flagged = flagged_shares(forecasts[model].to_numpy(), days)[str(percent)]
    row, column = cells_of(forecasts)
    area, at = np.unique(areas.names[row, column], return_inverse=True)
    cell_days, flags = np.bincount(at).astype(np.float64), np.bincount(at, weights=flagged)
    alerts, hits = np.bincount(at, weights=observed), np.bincount(at, weights=flagged * observed)
    return {
        "model": model,
        "flagged_percent": percent,
        "flagged_cells_per_day": float(flagged.sum() / len(np.unique(days))),
        "precision": float(hits.sum() / flags.sum()),
        "empty_of_ten": float(10 * (1 - hits.sum() / flags.sum())),
        "hit_rate": _ratio(hits.sum(), alerts.sum()),
        "by_area": {
            str(name): {
                "share_of_covered": float(cell_days[number] / cell_days.sum()),
                "share_of_flagged": float(flags[number] / flags.sum()),
                "share_of_alerts": _ratio(alerts[number], alerts.sum()),
                "precision": _ratio(hits[number], flags[number]),
            }
            for number, name in enumerate(area)
        },
        "repeats": _repeats(days, row, column, flagged, observed, areas),
    }


def _repeats(
    days: npt.NDArray[np.datetime64],
    row: npt.NDArray[np.int64],
    column: npt.NDArray[np.int64],
    flagged: npt.NDArray[np.float64],
    observed: npt.NDArray[np.bool_],
    areas: CellAreas,
) -> dict[str, Any]:
    cell, at = np.unique(row * areas.names.shape[1] + column, return_inverse=True)
    days_covered = np.bincount(at)
    share, with_alert = (np.bincount(at, weights=of) / days_covered for of in (flagged, observed))
    day = (days - days.min()).astype(np.int64)
    grid = np.zeros((day.max() + 1, len(cell)), dtype=bool)
    grid[day, at] = flagged >= 0.5
    streak = _longest_runs(grid)
    top = np.argsort(-share, kind="stable")[:TOP_CELLS]
    return {
        "cells": len(cell),
        "cells_never_flagged": int((share == 0).sum()),
        "cells_flagged_almost_always": int((share >= ALMOST_ALWAYS).sum()),
        "almost_always_means_share_of_days": ALMOST_ALWAYS,
        "longest_run_days": int(streak.max()),
        "top_cells": [
            {
                "row": int(cell[number] // areas.names.shape[1]),
                "column": int(cell[number] % areas.names.shape[1]),
                "area": str(areas.names.ravel()[cell[number]]),
                "share_of_days_flagged": float(share[number]),
                "share_of_days_with_alert": float(with_alert[number]),
                "longest_run_days": int(streak[number]),
            }
            for number in top
        ],
    }


def _longest_runs(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Longest run of True along the first axis (contiguous days), shape (cells,)."""
    count = np.cumsum(flags, axis=0)
    return (count - np.maximum.accumulate(np.where(flags, 0, count), axis=0)).max(axis=0)


def _ratio(numerator: float, denominator: float) -> float | None:
    return float(numerator / denominator) if denominator else None
