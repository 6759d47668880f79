"""Reasons of a cell's risk in words: the inputs of a regression that lift its odds most over the average cell's."""

from typing import Final

import numpy as np

from shotspotter_assets.arrays import Array
from shotspotter_assets.models.next_day.daily_inputs import Inputs

MAX_DRIVERS: Final = 2
MIN_ODDS_RATIO: Final = 1.05
RECENT_DAYS: Final = 30  # half-life up to which a rate is one of recent weeks

PHRASES: Final = {
    "log_alerts_7_": "alerts here in recent weeks",
    "log_alerts_": "alerts here over the years",
    "yesterday_": "alerts yesterday here or nearby",
    "late_yesterday_": "alerts yesterday here or nearby",
    "log_days_since_last_alert": "the last alert was not long ago",
    "log_same_kind_of_day": "busy on this kind of day",
}
"""Phrases by the start of the name of an input."""


def main_drivers(inputs: Inputs, slopes: Array) -> list[tuple[str, ...]]:
    """Return at most two phrases for each cell of one day: what lifts its odds most over the average cell's.

    Contributions, relative to their mean over the cells, are summed over inputs that have the same phrase, since such
    inputs share their weights among each other. `slopes` are log odds by unit of each input.
    """
    values = inputs.values[0].astype(np.float64)
    contributions = (values - values.mean(axis=0)) * slopes
    phrases = [phrase_of(name) for name in inputs.names]
    distinct = list(dict.fromkeys(phrase for phrase in phrases if phrase))
    summed = np.stack([contributions[:, [p == phrase for p in phrases]].sum(axis=1) for phrase in distinct], axis=1)
    drivers = []
    for cell in summed:
        best = np.argsort(-cell)[:MAX_DRIVERS]
        drivers.append(
            tuple(f"{distinct[at]} (odds x{np.exp(cell[at]):.1f})" for at in best if cell[at] > np.log(MIN_ODDS_RATIO))
        )
    return drivers


def phrase_of(name: str) -> str | None:
    """Return the phrase for an input of `daily_inputs`; None where it has one value for all cells."""
    if name.startswith("log_occupied_"):
        _, _, half_life, _, width, _ = name.split("_")
        return f"alerts {'here' if float(width) == 0 else 'nearby'} {_when(half_life)}"
    if name.startswith("log_shrunk_"):
        return f"alerts here {_when(name.split('_')[3])}"
    if name.startswith("log_nearby_"):
        *layer, half_life, _ = name.removeprefix("log_nearby_").split("_")
        return f"{' '.join(layer)} nearby {_when(half_life)}"
    if name.startswith("factor_"):
        return name.removeprefix("factor_").replace("_", " ")
    return next((phrase for start, phrase in PHRASES.items() if name.startswith(start)), None)


def _when(half_life: str) -> str:
    return "in recent weeks" if float(half_life) <= RECENT_DAYS else "over the years"
