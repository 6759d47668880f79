"""The burden of a forecast's flags: how many see nothing, in which areas they lie, and how often the same cells are flagged.

No data about people are used: the numbers show where the flags fall, not on whom.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
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
class Burden:
    """The burden of a model's flags: of ten flagged cells, `empty_of_ten` see nothing.

    Attributes:
        flagged_percent: share of the covered cells that is flagged; `flagged_cells_per_day` is the mean number.
        precision: flagged cell-days with an alert / flagged cell-days.
        hit_rate: flagged cell-days with an alert / all cell-days with an alert; None without any.
        cells: covered on any day.
        cells_flagged_almost_always: on at least `ALMOST_ALWAYS` of the days.
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

    _, cell = np.unique(row * areas.names.shape[1] + column, return_inverse=True)
    share_flagged = np.bincount(cell, weights=flagged) / np.bincount(cell)
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
        cells=len(share_flagged),
        cells_never_flagged=int((share_flagged == 0).sum()),
        cells_flagged_almost_always=int((share_flagged >= ALMOST_ALWAYS).sum()),
    )
