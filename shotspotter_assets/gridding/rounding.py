"""To how many decimals of a degree a source rounds its points, as its points show."""

from typing import Final

import numpy as np
import numpy.typing as npt

STEPS_DEGREES: Final = (0.001, 0.0001)
"""Three and four decimals: about 100 and 10 m. Coarser ones are a matter of `points`, finer ones of no grid or street."""

MIN_ROUNDED_SHARE: Final = 0.9
"""A few exact points among rounded ones change nothing."""


def step_of(degrees: npt.NDArray[np.float64]) -> float | None:
    """The coarsest step to which almost all longitudes, or latitudes, are rounded; None of exact ones and of none."""
    if not len(degrees):
        return None
    for step in STEPS_DEGREES:
        if np.mean(np.abs(degrees / step - np.rint(degrees / step)) < 1e-6) >= MIN_ROUNDED_SHARE:
            return step
    return None
