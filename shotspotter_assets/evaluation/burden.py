"""Who carries a forecast's flags: how many see nothing, in which areas they lie, and how often the same cells are flagged.

It needs no data about people: of fairness it shows where the flags fall, not on whom.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.evaluation.areas import CellAreas
from shotspotter_assets.evaluation.forecasts_table import cells_of, days_of, observed_of
from shotspotter_assets.evaluation.scores import flagged_shares, ratio

FLAGGED_PERCENT: Final = 5
"""The shipped threshold: this share of the covered cells is flagged each day."""
ALMOST_ALWAYS: Final = 0.9
"""Share of the days on which a cell is flagged."""
MAX_TOP_CELLS: Final = 10


@dataclass(frozen=True)
class AreaBurden:
    """Shares of an area in the covered, flagged and alert cell-days, and the precision of its flags; None where none are."""

    share_of_covered: float
    share_of_flagged: float
    share_of_alerts: float | None
    precision: float | None


@dataclass(frozen=True)
class CellRepeats:
    """How often one cell is flagged, and how often it has an alert."""

    row: int
    column: int
    area: str
    share_of_days_flagged: float
    share_of_days_with_alert: float
    longest_run_days: int


@dataclass(frozen=True)
class Repeats:
    """How often the same cells are flagged; `top_cells` are the most flagged ones, the most flagged first."""

    cells: int
    cells_never_flagged: int
    cells_flagged_almost_always: int
    almost_always_means_share_of_days: float
    longest_run_days: int
    top_cells: list[CellRepeats]


@dataclass(frozen=True)
class Burden:
    """What a model's flags cost: of ten flagged cells, `empty_of_ten` see nothing.

    `precision` is flagged cell-days with an alert / flagged cell-days, `hit_rate` the same / all cell-days with an alert.
    """

    model: str
    flagged_percent: int
    flagged_cells_per_day: float
    precision: float
    empty_of_ten: float
    hit_rate: float | None
    by_area: dict[str, AreaBurden]
    repeats: Repeats


def burden(forecasts: pa.Table, model: str, areas: CellAreas, percent: int = FLAGGED_PERCENT) -> Burden:
    """The burden of one model's flags.

    Cells that tie for the last places of a day are flagged in part, so the sums are those of breaking ties at random.

    Args:
        forecasts: a forecasts table (see `evaluation.forecasts_table`); days without a row have no flags.
        model: its column.
        areas: of the city's cells.
        percent: flagged share of the covered cells, one of `evaluation.scores.AREAS`.
    """
    observed, days = observed_of(forecasts), days_of(forecasts)
    flagged = flagged_shares(forecasts[model].to_numpy(), days)[percent]
    row, column = cells_of(forecasts)
    names, area = np.unique(areas.names[row, column], return_inverse=True)
    cell_days, flags = np.bincount(area).astype(np.float64), np.bincount(area, weights=flagged)
    alerts, hits = np.bincount(area, weights=observed), np.bincount(area, weights=flagged * observed)
    return Burden(
        model=model,
        flagged_percent=percent,
        flagged_cells_per_day=float(flagged.sum() / len(np.unique(days))),
        precision=float(hits.sum() / flags.sum()),
        empty_of_ten=float(10 * (1 - hits.sum() / flags.sum())),
        hit_rate=ratio(hits.sum(), alerts.sum()),
        by_area={
            str(name): AreaBurden(
                share_of_covered=float(cell_days[number] / cell_days.sum()),
                share_of_flagged=float(flags[number] / flags.sum()),
                share_of_alerts=ratio(alerts[number], alerts.sum()),
                precision=ratio(hits[number], flags[number]),
            )
            for number, name in enumerate(names)
        },
        repeats=_repeats(days, row, column, flagged, observed, areas),
    )


def _repeats(
    days: npt.NDArray[np.datetime64],
    row: npt.NDArray[np.int64],
    column: npt.NDArray[np.int64],
    flagged: npt.NDArray[np.float64],
    observed: npt.NDArray[np.bool_],
    areas: CellAreas,
) -> Repeats:
    grid_columns = areas.names.shape[1]
    cells, cell = np.unique(row * grid_columns + column, return_inverse=True)
    days_covered = np.bincount(cell)
    share_flagged, share_with_alert = (
        np.bincount(cell, weights=weights) / days_covered for weights in (flagged, observed)
    )
    day = (days - days.min()).astype(np.int64)
    flags = np.zeros((day.max() + 1, len(cells)), dtype=bool)
    flags[day, cell] = flagged >= 0.5
    longest_runs = _longest_runs(flags)
    top = np.argsort(-share_flagged, kind="stable")[:MAX_TOP_CELLS]
    return Repeats(
        cells=len(cells),
        cells_never_flagged=int((share_flagged == 0).sum()),
        cells_flagged_almost_always=int((share_flagged >= ALMOST_ALWAYS).sum()),
        almost_always_means_share_of_days=ALMOST_ALWAYS,
        longest_run_days=int(longest_runs.max()),
        top_cells=[
            CellRepeats(
                row=int(cells[at] // grid_columns),
                column=int(cells[at] % grid_columns),
                area=str(areas.names.ravel()[cells[at]]),
                share_of_days_flagged=float(share_flagged[at]),
                share_of_days_with_alert=float(share_with_alert[at]),
                longest_run_days=int(longest_runs[at]),
            )
            for at in top
        ],
    )


def _longest_runs(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Longest run of True along the first axis (contiguous days), shape (cells,)."""
    count = np.cumsum(flags, axis=0)
    return (count - np.maximum.accumulate(np.where(flags, 0, count), axis=0)).max(axis=0)
