"""Streets for the units of a plan: those of a cell with the highest risk in a shift, and where a unit can wait."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

MAX_STREETS: Final = 3
"""That are named for a cell."""


@dataclass(frozen=True)
class Post:
    """A segment of a street.

    Attributes:
        street: what it is called.
        probability: of at least one alert on it in the shift.
        longitude: of its middle, in WGS84 degrees.
        latitude: same.
    """

    street: str
    probability: float
    longitude: float
    latitude: float


Posts = Mapping[tuple[int, int], list[Post]]
"""The segments of each cell (row, column), the one with the highest risk first."""


def posts_of(streets: pa.Table, shift: str) -> Posts:
    """The segments of a shift.

    Args:
        streets: with `shift`, `name`, `probability`, `longitude`, `latitude`, and the `row` and `column` of the cell in which most
            of a segment's alerts are expected.
        shift: its name.
    """
    posts: defaultdict[tuple[int, int], list[Post]] = defaultdict(list)
    of_shift = streets.filter(pc.equal(streets["shift"], shift)).sort_by([("probability", "descending")])
    for row in of_shift.select(["row", "column", "name", "probability", "longitude", "latitude"]).to_pylist():
        posts[row["row"], row["column"]].append(
            Post(row["name"], row["probability"], row["longitude"], row["latitude"])
        )
    return posts


def best_posts(posts: Posts, row: int, column: int, size: int) -> list[Post]:
    """The segments with the highest risk of the `size` x `size` cells whose south-western one is given."""
    within = [
        post
        for at_row in range(row, row + size)
        for at_column in range(column, column + size)
        for post in posts.get((at_row, at_column), ())[:MAX_STREETS]
    ]
    return sorted(within, key=lambda post: -post.probability)[:MAX_STREETS]
