"""The burden of a forecast's flags: how many see nothing, in which areas they lie, and how often the same cells are flagged.

No data about people are used: the numbers show where the flags fall, not on whom.
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


@dataclass(frozen=True)
class AreaBurden:
    """Shares of an area in the covered, flagged and alert cell-days, and the precision of its flags; None where none are."""

    share_of_covered: float
    share_of_flagged: float
    share_of_alerts: float | None
    precision: float | None


@dataclass(frozen=True)
class TopCell:
    """The cell that is flagged most often."""

    row: int
    column: int
    share_of_days_flagged: float
    share_of_days_with_alert: float


@dataclass(frozen=True)
class Burden:
    """The burden of a model's flags: of ten flagged cells, `empty_of_ten` see nothing.

    Attributes:
        flagged_percent: share of the covered cells that is flagged.
        flagged_cells_per_day: mean.
        precision: flagged cell-days with an alert / flagged cell-days.
        empty_of_ten: flagged cells without an alert.
        hit_rate: flagged cell-days with an alert / all cell-days with an alert; None without any.
        by_area: by name.
        cells: covered on any day.
        cells_never_flagged: of these.
        cells_flagged_almost_always: on at least `ALMOST_ALWAYS` of the days.
        longest_run_days: contiguous days on which one cell was flagged, the most of all cells.
        top_cell: flagged most often.
    """

    model: str
    flagged_percent: int
    flagged_cells_per_day: float
    precision: float
    empty_of_ten: float
    hit_rate: float | None
    by_area: dict[str, AreaBurden]
    cells: int
    cells_never_flagged: int
    cells_flagged_almost_always: int
    longest_run_days: int
    top_cell: TopCell


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
    cell_days, flags, alerts, hits = (
        np.bincount(area, weights=weights) for weights in (np.ones(len(area)), flagged, observed, flagged * observed)
    )
    precision = float(hits.sum() / flags.sum())

    grid_columns = areas.names.shape[1]
    cells, cell = np.unique(row * grid_columns + column, return_inverse=True)
    share_flagged, share_with_alert = (
        np.bincount(cell, weights=weights) / np.bincount(cell) for weights in (flagged, observed)
    )
    day = (days - days.min()).astype(np.int64)
    is_flagged = np.zeros((day.max() + 1, len(cells)), dtype=bool)
    is_flagged[day, cell] = flagged >= 0.5
    top = int(share_flagged.argmax())
    return Burden(
        model=model,
        flagged_percent=percent,
        flagged_cells_per_day=float(flagged.sum() / len(np.unique(days))),
        precision=precision,
        empty_of_ten=10 * (1 - precision),
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
        cells=len(cells),
        cells_never_flagged=int((share_flagged == 0).sum()),
        cells_flagged_almost_always=int((share_flagged >= ALMOST_ALWAYS).sum()),
        longest_run_days=int(_longest_runs(is_flagged).max()),
        top_cell=TopCell(
            int(cells[top] // grid_columns),
            int(cells[top] % grid_columns),
            float(share_flagged[top]),
            float(share_with_alert[top]),
        ),
    )


def _longest_runs(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Longest run of True along the first axis (contiguous days), shape (cells,)."""
    count = np.cumsum(flags, axis=0)
    return (count - np.maximum.accumulate(np.where(flags, 0, count), axis=0)).max(axis=0)
