import numpy as np
import pytest
import shapely

from shotspotter_assets.grid.cells import Plane, cell_edges, cell_metres, cell_middles, cell_shapes, cells_at
from shotspotter_assets.grid.shapes import names_at, polygon_feature
from shotspotter_assets_tests.forecasts.patrol.cities import CELL_DEGREES, patrol_city

CITY = patrol_city(4, 6)


def test_neighbouring_cells_share_an_edge() -> None:
    west, south, east, north = cell_edges(CITY, 1, 2)
    assert cell_edges(CITY, 1, 3)[0] == east
    assert cell_edges(CITY, 2, 2)[1] == north
    assert (west, south) == (round(2 * CELL_DEGREES, 7), round(CELL_DEGREES, 7))


def test_shapes_middles_and_sizes_of_cells_agree() -> None:
    row, column = np.indices(CITY.shape).reshape(2, -1)
    middles = np.column_stack(cell_middles(CITY, row, column))
    assert np.array_equal(cells_at(CITY, *middles.T), (row, column))
    shapes = cell_shapes(CITY)
    plane = Plane.of(CITY.box)
    assert shapely.contains_xy(shapes, plane.metres(middles)).all()
    assert shapely.area(shapes) == pytest.approx(np.prod(cell_metres(CITY)))
    assert plane.degrees(plane.metres(middles)) == pytest.approx(middles)


def test_each_point_on_an_edge_has_one_cell() -> None:
    box = CITY.box
    row, column = cells_at(CITY, np.linspace(box.west, box.east, 4), np.full(4, box.north))
    assert column.tolist() == [0, 2, 4, 5]
    assert row.tolist() == [3] * 4


def test_a_point_has_the_name_of_the_first_area_that_holds_it() -> None:
    areas = [("west", shapely.box(0, 0, 2, 1)), ("all", shapely.box(0, 0, 3, 1))]
    names = names_at(areas, np.array([1.0, 2.0, 2.5, 4.0]), np.full(4, 0.5), "none")
    assert names.tolist() == ["west", "west", "all", "none"]


def test_a_polygon_is_closed_and_runs_counter_clockwise() -> None:
    feature = polygon_feature((0.0, 1.0, 2.0, 3.0), {"units": 1}, id="a")
    assert feature["geometry"]["coordinates"] == [[[0.0, 1.0], [2.0, 1.0], [2.0, 3.0], [0.0, 3.0], [0.0, 1.0]]]
    assert list(feature) == ["type", "id", "geometry", "properties"]
