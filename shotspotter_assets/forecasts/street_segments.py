"""Segments of a city's streets: lines of its file, cut where streets cross, with names by blocks or crossings."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from string import capwords
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.layers import Streets
from shotspotter_assets.grid.cells import Plane, cell_shapes
from shotspotter_assets.grid.shapes import named_rows, read_shapes, require_column, rows_in_box
from shotspotter_assets.storage.arrays import Array, Integers, Shapes
from shotspotter_assets.storage.wording import number_of

if TYPE_CHECKING:
    import geopandas

SNAP_METRES: Final = 2.0  # grid of the lines before they are cut: in files, a side street may end just before another
BLOCK_NUMBERS: Final = 100  # https://en.wikipedia.org/wiki/House_numbering#United_States_and_Canada


class StreetsFileError(ValueError):
    """The file of a city's streets cannot be used, with the remedy."""


@dataclass(frozen=True)
class Segments:
    """Pieces of streets between two crossings, within the city's box."""

    streets: list[str]
    names: list[str]  # blocks where the file has house numbers, else street and crossings
    lines: Shapes  # in metres of the city's `Plane`, shape (segments,)
    left_out: tuple[str, ...] = ()  # number of skipped lines of the file and the reason, in words

    def __len__(self) -> int:
        return len(self.names)

    @property
    def metres(self) -> Array:
        """Lengths in metres, shape (segments,)."""
        return np.asarray(shapely.length(self.lines))

    def middles(self, city: City) -> Array:
        """Return (longitude, latitude) of the middle of each, shape (segments, 2)."""
        middles = shapely.get_coordinates(shapely.line_interpolate_point(self.lines, 0.5, normalized=True))
        return Plane.of(city.box).degrees(middles)


def read_segments(city: City) -> Segments:
    """Read the segments of `streets`, between crossings or blocks; raise StreetsFileError without usable named lines."""
    if city.streets is None:
        raise ValueError(f"City {city.name} has no streets; name a file of them under `streets` in its file.")
    try:
        named, left_out = _named_lines(city, city.streets)
        edges, of_edges = _cut(city, named)
        return _joined(edges, of_edges, left_out)
    except ValueError as error:
        raise StreetsFileError(f"City {city.name}, streets: {city.streets.path} {error}.") from None


def _named_lines(city: City, streets: Streets) -> tuple["geopandas.GeoDataFrame", tuple[str, ...]]:
    """Return street, lowest and highest house number (or NaN) and line of usable rows, and the rows left out by reason."""
    frame = read_shapes(streets.path)
    keys = {"name": streets.name, "number_from": streets.number_from, "number_to": streets.number_to}
    for key, column in [*keys.items(), *(("only", column) for column in streets.only)]:
        if column is not None:
            require_column(frame, key, column)
    if kinds := sorted(set(frame.geom_type) - {"LineString", "MultiLineString"}):
        raise ValueError(f"holds {', '.join(kinds)}, and streets are lines. Give it a file of street lines")
    in_box = rows_in_box(frame, city.box)
    chosen = _rows_of_kinds(in_box, streets)
    named = named_rows(chosen, "name", streets.name)
    reasons = {
        "outside of the city's box": len(frame) - len(in_box),
        "not among those of `only`": len(in_box) - len(chosen),
        f"without a {streets.name}": len(chosen) - len(named),
    }
    left_out = tuple(f"{number_of(number, 'line')} {reason}" for reason, number in reasons.items() if number)
    street = named[streets.name].astype(str)
    street = street.map(lambda name: capwords(name) if name.islower() else " ".join(name.split()))
    columns = [column for column in (streets.number_from, streets.number_to) if column is not None]
    house_numbers = named[columns].apply(pd.to_numeric, errors="coerce").astype(float)
    # A line with a number at one end only counts as without.
    house_numbers = house_numbers.where((house_numbers >= 0).all(axis=1))
    lines = named[[named.geometry.name]].assign(
        street=street, low=house_numbers.min(axis=1), high=house_numbers.max(axis=1)
    )
    return lines, left_out


def _rows_of_kinds(in_box: "geopandas.GeoDataFrame", streets: Streets) -> "geopandas.GeoDataFrame":
    """Return the rows whose columns have the values of `only`; raise ValueError with the values there if none has."""
    chosen = in_box
    for column, values in streets.only.items():
        chosen = chosen[chosen[column].astype(str).isin(values)]
        if chosen.empty:
            there = ", ".join(sorted(in_box[column].dropna().astype(str).unique())[:10])
            wanted = ", ".join(values)
            raise ValueError(f"has no line whose {column} is one of {wanted}; it has {there}. Correct `only`")
    return chosen


def _cut(city: City, named: "geopandas.GeoDataFrame") -> tuple[Shapes, pd.DataFrame]:
    """Cut the lines within the city's box wherever any meet; return them with street and house numbers of each."""
    plane = Plane.of(city.box)
    flat = shapely.transform(shapely.force_2d(named.geometry.to_numpy()), plane.metres)
    lines, row = shapely.get_parts(shapely.clip_by_rect(flat, 0, 0, plane.width, plane.height), return_index=True)
    has_length = shapely.length(lines) > 0
    lines = lines[has_length]
    # Lines that lie there twice, under two names or for the numbers of either side, become one.
    edges = shapely.get_parts(shapely.union_all(lines, grid_size=SNAP_METRES))
    edges = edges[shapely.length(edges) > 0]
    if not len(edges):
        raise ValueError("has only lines of no length in the city's box. Give it a file of street lines")
    middles = shapely.line_interpolate_point(edges, 0.5, normalized=True)
    edge, line = shapely.STRtree(lines).query_nearest(middles, all_matches=True)
    of_edges = named[["street", "low", "high"]].iloc[row[has_length][line]].assign(edge=edge, line=line)
    of_edges = of_edges.sort_values(["edge", "line"])
    # The first line in the file names an edge; house numbers are those of all lines with the name.
    with_name = of_edges[of_edges["street"] == of_edges.groupby("edge")["street"].transform("first")]
    return edges, with_name.groupby("edge").agg(street=("street", "first"), low=("low", "min"), high=("high", "max"))


def _joined(edges: Shapes, of_edges: pd.DataFrame, left_out: tuple[str, ...]) -> Segments:
    """Join edges of one street and block that meet where no other edge does, and name the segments.

    Nodes are the points where edges end. Of the edges 1, 2 and 3 of Vine St, 1 and 2 become one segment, because only they meet
    at b; c is a crossing::

                           | Corry St
        a ---1--- b ---2---c---3--- d   Vine St
                           |
    """
    ends = np.stack([shapely.get_coordinates(shapely.get_point(edges, end)) for end in (0, -1)], axis=1)
    node = np.unique(ends.reshape(-1, 2), axis=0, return_inverse=True)[1].reshape(-1, 2)
    block: Integers = of_edges.groupby(["street", "low", "high"], dropna=False).ngroup().to_numpy().astype(np.int64)
    passed, pairs = _passed_nodes(node, block)
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(edges), len(edges)))
    _, segment = connected_components(links, directed=False)
    by_segment = np.argsort(segment, kind="stable")
    lines = shapely.line_merge(shapely.multilinestrings(edges[by_segment], indices=segment[by_segment]))
    _, first_edge = np.unique(segment, return_index=True)
    of_segments = of_edges.iloc[first_edge]
    names = _names(of_segments, _streets_at_ends(node, segment, of_edges["street"].tolist(), set(passed.tolist())))
    return Segments(of_segments["street"].tolist(), names, np.asarray(lines), left_out)


def _passed_nodes(node: Integers, block: Integers) -> tuple[Integers, Integers]:
    """Return the nodes at which just two edges of one block meet, shape (nodes,), and these edges, shape (nodes, 2).

    `node` numbers both ends of each edge, shape (edges, 2), and `block` the street and block of each edge.
    """
    node_of_end = node.ravel()
    two_meet = np.flatnonzero(np.bincount(node_of_end)[node_of_end] == 2)
    meeting = two_meet[np.argsort(node_of_end[two_meet], kind="stable")].reshape(-1, 2)
    pairs = meeting // 2  # each edge has two ends
    is_same = block[pairs[:, 0]] == block[pairs[:, 1]]
    return node_of_end[meeting[is_same, 0]], pairs[is_same]


def _streets_at_ends(
    node: Integers, segment: Integers, streets: list[str], passed: Collection[int]
) -> list[list[Collection[str]]]:
    """Return the streets that meet at each end of each segment; `node`, `segment` and `streets` are by edge."""
    streets_at: defaultdict[int, set[str]] = defaultdict(set)
    ends: list[list[int]] = [[] for _ in range(int(segment.max()) + 1)]
    for of_edge, of_segment, street in zip(node.tolist(), segment.tolist(), streets, strict=True):
        for end in of_edge:
            streets_at[end].add(street)
            if end not in passed:
                ends[of_segment].append(end)
    # A segment that crosses itself has more ends.
    return [[streets_at[end] for end in of_segment[:2]] for of_segment in ends]


def _names(of_segments: pd.DataFrame, streets_at_ends: list[list[Collection[str]]]) -> list[str]:
    """Return blocks, and the streets at both ends where blocks are unknown or not unique."""
    blocks = [
        _block_name(street, low, high) if np.isfinite(low) else street
        for street, low, high in of_segments.itertuples(index=False)
    ]
    places = map(_between_crossings, of_segments["street"], streets_at_ends)
    # A block may be cut by a crossing, and a street may have no numbers.
    number = Counter(blocks)
    return [
        block if number[block] == 1 else f"{block} {place}".strip() for block, place in zip(blocks, places, strict=True)
    ]


def _block_name(street: str, low: float, high: float) -> str:
    """Return a block such as "2800 block of Vine St"; numbers below 100 are the unit block."""
    first, last = (int(number) // BLOCK_NUMBERS * BLOCK_NUMBERS for number in (low, high))
    return f"{first or 'unit'}{f' to {last}' if last > first else ''} block of {street}"


def _between_crossings(street: str, ends: Sequence[Collection[str]]) -> str:
    """Return the place between other streets: "between Corry St and Daniels St", or "at Corry St"."""
    others = {min(set(names) - {street}, default="") for names in ends} - {""}
    return f"between {min(others)} and {max(others)}" if len(others) > 1 else f"at {min(others)}" if others else ""


@dataclass(frozen=True)
class Parts:
    """Pieces of segments within one cell each, each array of shape (parts,)."""

    segment: Integers  # index of the segment
    cell: Integers  # row x columns + column
    lines: Shapes  # in metres of the city's `Plane`
    metres: Array
    segments: int  # number of segments
    cells: int  # number of cells of the grid

    def __len__(self) -> int:
        return len(self.segment)


def parts_of(city: City, segments: Segments) -> Parts:
    """Return the parts of all segments in all cells of the city's grid."""
    cells = cell_shapes(city)
    cell, segment = shapely.STRtree(segments.lines).query(cells, predicate="intersects")
    lines = shapely.intersection(cells[cell], segments.lines[segment])
    metres = shapely.length(lines)
    # A line along an edge lies in both cells; it is the first one's.
    _, first = np.unique(shapely.to_wkb(shapely.normalize(lines)), return_index=True)
    part = np.intersect1d(np.flatnonzero(metres > 0), first)
    return Parts(segment[part], cell[part], lines[part], metres[part], len(segments), len(cells))
