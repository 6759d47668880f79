"""House numbers of segments from a file of points, each of which stands for a block of a street."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.shape_files import read_shapes
from shotspotter_assets.cities.streets import BlockPoints
from shotspotter_assets.gridding.cells import Plane

Array = npt.NDArray[np.float64]

MAX_METRES: Final = 40.0
"""From a block's point to its street: points are the middles of blocks, and lines those of roadways."""


def numbers_by_points(city: City, blocks: BlockPoints, lines: npt.NDArray[np.object_], streets: Sequence[str]) -> Array:
    """Lowest and highest house number of each segment, NaN where no point tells them, shape (segments, 2).

    A point belongs to the nearest segment of a street that begins and ends with the same word: files abbreviate differently
    ("ADAMS MILL ROAD NW", "Adams Mill Rd NW").

    Args:
        city: its box.
        blocks: the file.
        lines: of the segments, in metres of the city's `Plane`.
        streets: the name of the street of each segment.

    Raises:
        ValueError: the file cannot be used, with the reason.
    """
    import pandas as pd
    import shapely

    frame = read_shapes(blocks.path, blocks.longitude, blocks.latitude)
    columns = {"street": blocks.street, "number_from": blocks.number_from, "number_to": blocks.number_to}
    for key, column in columns.items():
        if column not in frame.columns:
            there = ", ".join(str(name) for name in frame.columns if name != frame.geometry.name)
            raise ValueError(f"has no column {column}; it has {there}. Correct `{key}`")
    kinds = sorted(set(frame.geom_type) - {"Point"})
    if kinds:
        raise ValueError(f"holds {', '.join(kinds)}, and blocks are points")
    ends = np.column_stack(
        [pd.to_numeric(frame[name], errors="coerce").to_numpy(np.float64) for name in list(columns.values())[1:]]
    )
    known = (np.isfinite(ends) & (ends >= 0)).all(axis=1) & frame[blocks.street].notna().to_numpy()
    frame, ends = frame[known], ends[known]
    points = shapely.transform(frame.geometry.to_numpy(), Plane.of(city).metres)
    point, segment = shapely.STRtree(lines).query(points, predicate="dwithin", distance=MAX_METRES)
    of_point = np.array([_key(name) for name in frame[blocks.street].astype(str)], dtype=object)
    of_segment = np.array([_key(name) for name in streets], dtype=object)
    same = of_point[point] == of_segment[segment]
    point, segment = point[same], segment[same]
    order = np.lexsort((shapely.distance(points[point], lines[segment]), point))
    point, first = np.unique(point[order], return_index=True)
    segment = segment[order][first]
    numbers = np.full((len(streets), 2), np.nan)
    np.fmin.at(numbers[:, 0], segment, ends[point].min(axis=1))
    np.fmax.at(numbers[:, 1], segment, ends[point].max(axis=1))
    return numbers


def _key(name: str) -> str:
    words = name.casefold().split() or [""]
    return f"{words[0]} {words[-1] if len(words) > 1 else ''}"
