"""Types of the arrays that models take and return."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Booleans = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Values = npt.NDArray[Any]
"""Numbers or truth by time, shape (times, ...)."""
