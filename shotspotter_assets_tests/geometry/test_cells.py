from shotspotter_assets.geometry.cells import cell_edges
from shotspotter_assets.geometry.shapes import polygon_feature
from shotspotter_assets_tests.patrol.cities import CELL_DEGREES, patrol_city

CITY = patrol_city(4, 6)


def test_neighbouring_cells_share_an_edge() -> None:
    west, south, east, north = cell_edges(CITY, 1, 2)
    assert cell_edges(CITY, 1, 3)[0] == east
    assert cell_edges(CITY, 2, 2)[1] == north
    assert (west, south) == (round(2 * CELL_DEGREES, 7), round(CELL_DEGREES, 7))


def test_a_polygon_is_closed_and_runs_counter_clockwise() -> None:
    feature = polygon_feature((0.0, 1.0, 2.0, 3.0), {"units": 1}, id="a")
    assert feature["geometry"]["coordinates"] == [[[0.0, 1.0], [2.0, 1.0], [2.0, 3.0], [0.0, 3.0], [0.0, 1.0]]]
    assert list(feature) == ["type", "id", "geometry", "properties"]
