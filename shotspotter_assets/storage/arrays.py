"""Types of arrays."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Booleans = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Days = npt.NDArray[np.datetime64]  # days, or instants (UTC) and wall-clock times in other units
Shapes = npt.NDArray[np.object_]  # Shapely geometries
Names = npt.NDArray[np.str_]
Values = npt.NDArray[Any]  # numbers or truth by time, shape (times, ...)
