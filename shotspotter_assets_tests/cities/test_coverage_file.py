"""The coverage that a city's file names: found beside it, and refused with what is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from shotspotter_assets.cities.registry import CityFileError, load_city
from shotspotter_assets_tests.conftest import TEST_CITIES

SQUARE = {"type": "Polygon", "coordinates": [[[-77, 38], [-76.5, 38], [-76.5, 39], [-77, 39], [-77, 38]]]}
AREAS = {"features": [{"properties": {"name": "West", "number": 7}, "geometry": SQUARE}]}
COVERAGE = {"file": "areas.geojson", "name_property": "name", "areas": {"West": "2024-03-05"}}


def write(folder: Path, published: Any = AREAS, **changes: Any) -> Path:
    (folder / "areas.geojson").write_text(published if isinstance(published, str) else json.dumps(published))
    content = yaml.safe_load((TEST_CITIES / "landing_city.yaml").read_text())
    file = folder / "landing_city.yaml"
    file.write_text(yaml.safe_dump({**content, "coverage": {**COVERAGE, **changes}}))
    return file


def test_a_relative_path_starts_at_the_citys_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    city = load_city(Path("landing_city.yaml"))
    assert city.coverage is not None
    assert city.coverage.file == tmp_path / "areas.geojson"
    elsewhere = write(tmp_path, file=str(tmp_path / "areas.geojson"))
    assert load_city(elsewhere).coverage == city.coverage


def test_areas_may_be_named_by_a_number(tmp_path: Path) -> None:
    load_city(write(tmp_path, name_property="number", areas={"7": "2024-03-05"}))


@pytest.mark.parametrize(
    ("published", "changes", "says"),
    [
        (AREAS, {"file": "other.geojson"}, r"other.geojson does not exist; a relative path"),
        (AREAS, {"areas": {"East": "2024-03-05"}}, r"has no area East; it has: West"),
        (AREAS, {"name_property": "title"}, r"lacks the property title; it has: name, number"),
        ("{}", {}, r"cannot be read as a GeoJSON FeatureCollection"),
        ("a,b", {}, r"cannot be read as a GeoJSON FeatureCollection"),
        ({"features": [{"properties": None, "geometry": None}]}, {}, r"cannot be read as a GeoJSON"),
        (
            {"features": [{"properties": {"name": "West"}, "geometry": {"type": "Point", "coordinates": [0, 0]}}]},
            {},
            r"holds Point; coverage is given by Polygon and MultiPolygon",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, published: Any, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(CityFileError, match=r"landing_city.yaml: coverage\..*" + says):
        load_city(write(tmp_path, published, **changes))
