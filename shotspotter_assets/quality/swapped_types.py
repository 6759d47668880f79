"""Single and multiple gunshots beside the rounds that were counted: interchanged, most contradict each other.

The shares of the types cannot tell that: they drift by as much within months.
"""

from typing import Final

import numpy as np

from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.quality.window import Window

SINGLE, MULTIPLE = 0, 1
NEWEST: Final = 20
"""Alerts with a type and rounds that are judged."""

MAX_SHARE: Final = 0.5
"""Of alerts whose type contradicts the rounds; 12% do in Washington DC."""


def swapped_types(window: Window) -> Finding:
    """The newest single gunshots have one round, and multiple ones several, where the source counts rounds."""
    kind = window.alerts["gunshot_type"].fill_null(-1).to_numpy()
    rounds = window.alerts["rounds"].fill_null(0).to_numpy()
    counted = np.flatnonzero((rounds > 0) & ((kind == SINGLE) | (kind == MULTIPLE)))[-NEWEST:]
    if len(counted) < NEWEST:
        return Finding(True, f"Fewer than {NEWEST} alerts with a type and rounds: nothing to compare.")
    share = float(((kind[counted] == SINGLE) != (rounds[counted] == 1)).mean())
    passed = share <= MAX_SHARE
    message = f"The types of {share:.0%} of the newest {NEWEST} alerts contradict their rounds" + (
        "."
        if passed
        else ": single and multiple gunshots seem to be interchanged. Correct gunshot_spellings in the city's file, or ask the "
        "publisher."
    )
    return Finding(passed, message, {"contradicting_share": round(share, 3)})
