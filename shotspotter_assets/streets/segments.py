"""Segments of a city's streets: lines of its file, cut where streets cross, with names by blocks or crossings."""

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from string import capwords
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from shotspotter_assets.arrays import Array, Integers, Shapes
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.layers import Streets
from shotspotter_assets.geometry.cells import Plane, cell_shapes
from shotspotter_assets.geometry.shapes import named_rows, read_shapes, require_column, rows_in_box
from shotspotter_assets.wording import number_of

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
        return _joined(*_cut(city, named), left_out)
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
    kept = in_box = rows_in_box(frame, city.box)
    for column, values in streets.only.items():
        kept = kept[kept[column].astype(str).isin(values)]
        if kept.empty:
            there = ", ".join(sorted(in_box[column].dropna().astype(str).unique())[:10])
            wanted = ", ".join(values)
            raise ValueError(f"has no line whose {column} is one of {wanted}; it has {there}. Correct `only`")
    named = named_rows(kept, "name", streets.name)
    reasons = {
        "outside of the city's box": len(frame) - len(in_box),
        "not among those of `only`": len(in_box) - len(kept),
        f"without a {streets.name}": len(kept) - len(named),
    }
    left_out = tuple(f"{number_of(number, 'line')} {reason}" for reason, number in reasons.items() if number)
    numbers = [column for column in (streets.number_from, streets.number_to) if column is not None]
    ends = named[numbers].apply(pd.to_numeric, errors="coerce").astype(float)
    ends = ends.where((ends >= 0).all(axis=1))
    street = named[streets.name].astype(str)
    street = street.map(lambda name: capwords(name) if name.islower() else " ".join(name.split()))
    lines = named[[named.geometry.name]].assign(street=street, low=ends.min(axis=1), high=ends.max(axis=1))
    return lines, left_out


def _cut(city: City, named: "geopandas.GeoDataFrame") -> tuple[Shapes, pd.DataFrame]:
    """Cut the lines within the city's box wherever any meet; return them with street and house numbers of each."""
    plane = Plane.of(city.box)
    flat = shapely.transform(shapely.force_2d(named.geometry.to_numpy()), plane.metres)
    lines, row = shapely.get_parts(shapely.clip_by_rect(flat, 0, 0, plane.width, plane.height), return_index=True)
    lines, row = lines[shapely.length(lines) > 0], row[shapely.length(lines) > 0]
    # Lines that lie there twice, under two names or for the numbers of either side, become one.
    edges = shapely.get_parts(shapely.union_all(lines, grid_size=SNAP_METRES))
    edges = edges[shapely.length(edges) > 0]
    if not len(edges):
        raise ValueError("has only lines of no length in the city's box. Give it a file of street lines")
    middles = shapely.line_interpolate_point(edges, 0.5, normalized=True)
    edge, line = shapely.STRtree(lines).query_nearest(middles, all_matches=True)
    of_edges = named[["street", "low", "high"]].iloc[row[line]].assign(edge=edge, line=line)
    of_edges = of_edges.sort_values(["edge", "line"])
    # The first line in the file names an edge; house numbers are those of all lines with the name.
    own = of_edges[of_edges["street"] == of_edges.groupby("edge")["street"].transform("first")]
    return edges, own.groupby("edge").agg(street=("street", "first"), low=("low", "min"), high=("high", "max"))


def _joined(edges: Shapes, of_edges: pd.DataFrame, left_out: tuple[str, ...]) -> Segments:
    """Join edges of one street and block that meet where no other edge does, and name the segments."""
    count = len(edges)
    ends = np.stack([shapely.get_coordinates(shapely.get_point(edges, at)) for at in (0, -1)], axis=1)
    _, node, number_of_edges = np.unique(ends.reshape(-1, 2), axis=0, return_inverse=True, return_counts=True)
    node, edge = node.ravel(), np.repeat(np.arange(count), 2)
    block = of_edges.groupby(["street", "low", "high"], dropna=False).ngroup().to_numpy()
    passing = np.flatnonzero(number_of_edges[node] == 2)
    passing = passing[np.argsort(node[passing], kind="stable")]
    one, other = edge[passing].reshape(-1, 2).T
    same = block[one] == block[other]
    passed = np.isin(np.arange(len(number_of_edges)), node[passing][::2][same])
    links = coo_array((np.ones(same.sum()), (one[same], other[same])), shape=(count, count))
    _, segment = connected_components(links, directed=False)
    by_segment = np.argsort(segment, kind="stable")
    lines = shapely.line_merge(shapely.multilinestrings(edges[by_segment], indices=segment[by_segment]))
    _, first = np.unique(segment, return_index=True)
    streets_at: defaultdict[int, set[str]] = defaultdict(set)
    ends_of: defaultdict[int, list[int]] = defaultdict(list)
    at_ends = zip(node.tolist(), of_edges["street"].iloc[edge], segment[edge].tolist(), strict=True)
    for at, street, of_segment in at_ends:
        streets_at[at].add(street)
        if not passed[at]:
            ends_of[of_segment].append(at)
    blocks, where = [], []
    for of_segment, (street, low, high) in enumerate(of_edges.iloc[first].itertuples(index=False)):
        blocks.append(_block_name(street, low, high) if np.isfinite(low) else street)
        where.append(_between_crossings(street, *(streets_at[point] for point in ends_of[of_segment][:2])))
    # A block may be cut by a crossing, and a street may have no numbers.
    is_enough = {name for name, number in Counter(blocks).items() if number == 1}
    placed = zip(blocks, where, strict=True)
    names = [block if block in is_enough else f"{block} {place}".strip() for block, place in placed]
    return Segments(of_edges["street"].iloc[first].tolist(), names, np.asarray(lines), left_out)


def _block_name(street: str, low: float, high: float) -> str:
    """Return a block such as "2800 block of Vine St"; numbers below 100 are the unit block."""
    first, last = (int(number) // BLOCK_NUMBERS * BLOCK_NUMBERS for number in (low, high))
    return f"{first or 'unit'}{f' to {last}' if last > first else ''} block of {street}"


def _between_crossings(street: str, *ends: Collection[str]) -> str:
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
    kept = np.intersect1d(np.flatnonzero(metres > 0), first)
    return Parts(segment[kept], cell[kept], lines[kept], metres[kept], len(segments), len(cells))
