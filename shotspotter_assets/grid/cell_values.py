"""From the shapes of a contributing factor to one number for each cell of a city's grid."""

import math
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import shapely

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.layers import CellFactor, PointFactor, PolygonFactor
from shotspotter_assets.grid.cells import Plane, cell_metres, cell_middles, cell_shapes
from shotspotter_assets.grid.shapes import read_shapes, require_column, rows_in_box
from shotspotter_assets.storage.arrays import Array, Integers, Shapes

if TYPE_CHECKING:
    import geopandas

KINDS: Final = {"polygons": "Polygon", "points": "Point", "lines": "LineString"}  # without the prefix Multi
MISSING_FIGURES: Final = (-999, -9_999, -99_999, *(-111_111_111 * digit for digit in range(1, 10)))
"""Codes of missing figures; the long ones are annotations of the US Census (-666666666 and others)."""
NEAR_METRES: Final = 100.0  # shorter distances count as about equal


def cell_values(city: City, factor: CellFactor) -> Array:
    """Return the factor's number for each cell, shape (rows, columns); NaN where unknown.

    Numbers are rates as in the file, log(1 + number by km²) of counts and points, log(1 + km by km²) of lines, or
    log(1 + distance / 100 m). Raises ValueError with reason and remedy if the file cannot be used.
    """
    frame = _usable(city, factor)
    plane = Plane.of(city.box)
    shapes = shapely.transform(frame.geometry.to_numpy(), plane.metres)
    if isinstance(factor, PolygonFactor):
        return _of_polygons(city, factor, frame, shapes)
    if factor.measure == "distance":
        middles = plane.metres(np.column_stack(cell_middles(city, *np.indices(city.shape).reshape(2, -1))))
        points = shapely.points(middles)
        _, metres = shapely.STRtree(shapes).query_nearest(points, all_matches=False, return_distance=True)
        return np.log1p(metres.reshape(city.shape) / NEAR_METRES)
    if isinstance(factor, PointFactor):
        return np.log1p(_density(city, plane, shapes, factor.width_metres))
    return np.log1p(_within_cells(city, shapes, np.ones(len(shapes)), "length") / 1_000 / _cell_km2(city))


def _usable(city: City, factor: CellFactor) -> "geopandas.GeoDataFrame":
    """Read the valid shapes of a factor's file, each once; raise ValueError with reason and remedy for an unusable one."""
    frame = read_shapes(factor.path, factor.longitude, factor.latitude)
    compared: list[str] = []
    if isinstance(factor, PolygonFactor):
        require_column(frame, "column", factor.column)
        compared = [factor.column]
    if isinstance(factor, PointFactor):  # two places may share a point, but not all else
        compared = [name for name in frame.columns if name != frame.geometry.name]
    if kinds := sorted(set(frame.geom_type.str.removeprefix("Multi")) - {KINDS[factor.kind]}):
        raise ValueError(f"holds {', '.join(kinds)}, and {factor.kind} are {KINDS[factor.kind]}. Correct `kind`")
    rows_in_box(frame, city.box)
    frame = frame.set_geometry(frame.geometry.make_valid())
    rows = frame[compared].assign(shape=frame.geometry.normalize().to_wkb(hex=True)).astype(str)
    return frame.loc[~rows.duplicated()]


def _of_polygons(city: City, factor: PolygonFactor, frame: "geopandas.GeoDataFrame", shapes: Shapes) -> Array:
    """Return log(1 + count by km²), or the mean of a rate by area over the part of the cell where it is known."""
    try:
        figures = frame[factor.column].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise ValueError(f"has no number in every row of {factor.column}. Correct the file or `column`") from None
    missing = ~np.isfinite(figures) | np.isin(figures, MISSING_FIGURES)
    if factor.figure == "count":
        missing |= figures < 0
    known_shapes = shapes[~missing]
    known_figures = figures[~missing]
    known_area, unknown_area = (
        _within_cells(city, shapes[chosen], np.ones(chosen.sum()), "area") for chosen in (~missing, missing)
    )
    if factor.figure == "rate":
        mean = _within_cells(city, known_shapes, known_figures, "area")
        return np.divide(mean, known_area, out=np.full(city.shape, np.nan), where=known_area > 0)
    count = _within_cells(city, known_shapes, known_figures / shapely.area(known_shapes), "area")
    # Where no area is, nothing is counted; where its figure is missing, the value is unknown.
    return np.where((known_area == 0) & (unknown_area > 0), np.nan, np.log1p(count / _cell_km2(city)))


def pieces_in_cells(city: City, shapes: Shapes, measure: Literal["area", "length"]) -> tuple[Integers, Integers, Array]:
    """Return the cell, shape, and m² or metres of each piece of the shapes that lies in a cell, shape (pieces,)."""
    cells = cell_shapes(city)
    cell, shape = shapely.STRtree(shapes).query(cells, predicate="intersects")
    return cell, shape, getattr(shapely, measure)(shapely.intersection(cells[cell], shapes[shape]))


def _within_cells(city: City, shapes: Shapes, weight: Array, measure: Literal["area", "length"]) -> Array:
    """Return the m² or metres of the shapes within each cell, times their weights, shape (rows, columns)."""
    cell, shape, within = pieces_in_cells(city, shapes, measure)
    return np.bincount(cell, within * weight[shape], minlength=math.prod(city.shape)).reshape(city.shape).astype(float)


def _density(city: City, plane: Plane, points: Shapes, width_metres: float) -> Array:
    """Return points by km², the mean over each cell of a Gaussian kernel density, shape (rows, columns)."""
    from scipy.special import ndtr

    east, north = shapely.get_coordinates(points).T
    axes = (plane.height, city.grid.rows, north), (plane.width, city.grid.columns, east)
    by_row, by_column = (
        np.diff(ndtr((np.linspace(0, side, number + 1) - along[:, None]) / width_metres))
        for side, number, along in axes
    )
    return np.asarray(by_row.T @ by_column / _cell_km2(city))


def _cell_km2(city: City) -> float:
    return math.prod(cell_metres(city)) / 1e6
