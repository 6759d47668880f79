import json
from datetime import date

import numpy as np

from shotspotter_assets.cities.city import City
from shotspotter_assets.geometry.shapes import polygon_feature
from shotspotter_assets.patrol.plan import OUTSIDE, cell_areas
from shotspotter_assets_tests.evaluation.cities import square_city


def city(tmp_path=None, features=()) -> City:
    coverage = None
    if tmp_path is not None:
        file = tmp_path / "areas.geojson"
        file.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
        coverage = {"file": file, "name_property": "district", "areas": {"1D": date(2020, 1, 1)}}
    return square_city("square", 4, coverage=coverage)


def square(name: str, west: float, east: float, north: float) -> dict:
    return polygon_feature((west, 0, east, north), {"district": name})


def test_published_areas_hold_the_centres_of_their_cells(tmp_path):
    found = cell_areas(city(tmp_path, [square("1D", 0, 2, 4), square("2D", 1, 3.4, 4)]))
    # Columns by centre: 0.5 and 1.5 in the first area, 2.5 in the second; the centre 3.5 lies outside of both.
    assert (found == ["1D", "1D", "2D", OUTSIDE]).all()


def test_rows_count_from_the_south(tmp_path):
    names = cell_areas(city(tmp_path, [square("1D", 0, 4, 1)]))
    assert (names[0] == "1D").all()
    assert (names[1:] == OUTSIDE).all()


def test_without_published_areas_they_are_the_quadrants_of_the_grid():
    found = cell_areas(city())
    assert found[0, 0] == "south-west"
    assert found[3, 0] == "north-west"
    assert found[0, 3] == "south-east"
    assert found[3, 3] == "north-east"
    assert list(np.unique(found, return_counts=True)[1]) == [4, 4, 4, 4]
