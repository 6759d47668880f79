"""Edges, middles, names and polygons of cells."""

import numpy as np

from shotspotter_assets.gridding.cells import cell_edges, cell_middles, polygon_feature
from shotspotter_assets_tests.patrol.cities import CELL_DEGREES, patrol_city

CITY = patrol_city(4, 6)


def test_neighbouring_cells_share_an_edge_and_blocks_hold_their_cells() -> None:
    west, south, east, north = cell_edges(CITY, 1, 2)
    assert cell_edges(CITY, 1, 3)[0] == east
    assert cell_edges(CITY, 2, 2)[1] == north
    assert cell_edges(CITY, 1, 2, size=2) == (west, south, cell_edges(CITY, 1, 3)[2], cell_edges(CITY, 2, 2)[3])
    assert (west, south) == (round(2 * CELL_DEGREES, 7), round(CELL_DEGREES, 7))


def test_middles_lie_between_the_edges() -> None:
    longitude, latitude = cell_middles(CITY, np.array([3]), np.array([5]))
    west, south, east, north = cell_edges(CITY, 3, 5)
    np.testing.assert_allclose([longitude[0], latitude[0]], [(west + east) / 2, (south + north) / 2], atol=1e-7)


def test_a_polygon_is_closed_and_runs_counter_clockwise() -> None:
    feature = polygon_feature((0.0, 1.0, 2.0, 3.0), {"units": 1}, id="a")
    assert feature["geometry"]["coordinates"] == [[[0.0, 1.0], [2.0, 1.0], [2.0, 3.0], [0.0, 3.0], [0.0, 1.0]]]
    assert list(feature) == ["type", "id", "geometry", "properties"]
