import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from shotspotter_assets.cities.city import City
from shotspotter_assets.grid.coverage import OUTSIDE, cell_districts, district_areas
from shotspotter_assets.grid.shapes import polygon_feature
from shotspotter_assets.storage.arrays import Names
from shotspotter_assets_tests.evaluation.cities import square_city


def published(tmp_path: Path, features: Sequence[dict[str, Any]]) -> City:
    file = tmp_path / "areas.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    coverage = {"file": file, "name_property": "district", "areas": {"1D": date(2020, 1, 1)}}
    return square_city("square", 4, coverage=coverage)


def square(name: str, west: float, east: float, north: float) -> dict[str, Any]:
    return polygon_feature((west, 0, east, north), {"district": name})


def districts_of(city: City) -> Names:
    return cell_districts(city, district_areas(city), OUTSIDE)


def test_published_areas_hold_the_centres_of_their_cells(tmp_path: Path) -> None:
    districts = districts_of(published(tmp_path, [square("1D", 0, 2, 4), square("2D", 1, 3.4, 4)]))
    # Columns by centre: 0.5 and 1.5 in the first area, 2.5 in the second; the centre 3.5 lies outside of both.
    assert (districts == ["1D", "1D", "2D", OUTSIDE]).all()


def test_rows_count_from_the_south(tmp_path: Path) -> None:
    districts = districts_of(published(tmp_path, [square("1D", 0, 4, 1)]))
    assert (districts[0] == "1D").all()
    assert (districts[1:] == OUTSIDE).all()


def test_without_published_areas_they_are_the_quadrants_of_the_grid() -> None:
    districts = districts_of(square_city("square", 4))
    assert districts[0, 0] == "south-west"
    assert districts[3, 0] == "north-west"
    assert districts[0, 3] == "south-east"
    assert districts[3, 3] == "north-east"
    assert list(np.unique(districts, return_counts=True)[1]) == [4, 4, 4, 4]


def test_a_city_without_any_district_has_no_names() -> None:
    assert (cell_districts(square_city("square", 4), []) == "").all()
