"""Which cells the sensors hear, estimated from the alerts of a training window."""

import numpy as np
import numpy.typing as npt


def estimate_coverage(daily: npt.NDArray[np.integer], minimum_alerts: int = 3) -> npt.NDArray[np.bool_]:
    """Cells with at least `minimum_alerts` alerts in the window, shape (rows, columns).

    No source publishes where its sensors stand, so a cell that is silent for a whole training window is taken for
    one that no sensor hears. Estimate on training days only: a coverage that has seen the test days is a leak.

    Args:
        daily: alerts per day and cell of the training window, shape (days, rows, columns).
        minimum_alerts: one or two alerts may be misplaced points.
    """
    return daily.sum(axis=0, dtype=np.int64) >= minimum_alerts
