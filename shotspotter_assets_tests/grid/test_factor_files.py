from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely

from shotspotter_assets.cities.city import City
from shotspotter_assets.city_files import CityFile
from shotspotter_assets.grid.cells import Plane, cell_metres, cell_middles
from shotspotter_assets.grid.city_factors import CityFactors, FactorFileError
from shotspotter_assets_tests.made_up_city import made_up_city

CITY = made_up_city("square_town", (-77.0, 38.0, -76.9, 38.1), (4, 5))
WEST_HALF = shapely.box(-77.1, 37.9, -76.95, 38.2)
EAST_HALF = shapely.box(-76.95, 37.9, -76.8, 38.2)
"""Areas of 150 x 300 thousandths of a degree, of which 50 x 100 lie in the box: two columns and a half."""
KM2 = np.prod(cell_metres(CITY)) / 1e6


def city_with(path: Path, **settings: Any) -> City:
    factor = {"path": path, "known_from": pd.Timestamp(2020, 1, 1).date()} | settings
    return CityFile.model_validate(CITY.model_dump() | {"factors": {"own": factor}})


def values(path: Path, **settings: Any) -> np.ndarray:
    (factor,) = CityFactors.read(city_with(path, **settings)).of_cells
    return factor.by_cell


def areas(folder: Path, name: str = "areas.parquet", crs: Any = 4326, **columns: Any) -> Path:
    frame = geopandas.GeoDataFrame(columns, geometry=[WEST_HALF, EAST_HALF], crs=4326)
    frame = frame.set_crs(None, allow_override=True) if crs is None else frame.to_crs(crs)
    frame.to_parquet(folder / name) if name.endswith("parquet") else frame.to_file(folder / name)
    return folder / name


def points(folder: Path, longitude: list[float], latitude: list[float], **more: Any) -> Path:
    pd.DataFrame({"longitude": longitude, "latitude": latitude, **more}).to_csv(folder / "points.csv", index=False)
    return folder / "points.csv"


POLYGONS = {"kind": "polygons", "column": "figure", "figure": "rate"}


def test_a_rate_is_averaged_by_area(tmp_path):
    cells = values(areas(tmp_path, figure=[0.1, 0.5]), **POLYGONS)
    np.testing.assert_allclose(cells, np.tile([0.1, 0.1, 0.3, 0.5, 0.5], (4, 1)), atol=1e-9)


def test_a_count_is_spread_by_area_also_beyond_the_box(tmp_path):
    cells = values(areas(tmp_path, figure=[900, 0]), **POLYGONS | {"figure": "count"})
    people = np.expm1(cells) * KM2
    # The box has a ninth of the western area.
    np.testing.assert_allclose(people.sum(axis=0), np.array([40, 40, 20, 0, 0]), rtol=1e-6)


@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson", "a.shp", "a.parquet"])
def test_formats_and_coordinate_systems_give_the_same(tmp_path, name):
    crs = 4326 if name == "a.geojson" else 26985
    found = values(areas(tmp_path, name, crs=crs, figure=[0.1, 0.5]), **POLYGONS)
    np.testing.assert_allclose(found, values(areas(tmp_path, figure=[0.1, 0.5]), **POLYGONS), atol=1e-5)


@pytest.mark.parametrize("code", [-666_666_666, -999, None])
def test_codes_for_missing_figures_are_no_figures(tmp_path, code):
    cells = values(areas(tmp_path, figure=[code, 0.5]), **POLYGONS)
    assert np.isnan(cells[:, :2]).all()
    np.testing.assert_allclose(cells[:, 2:], 0.5)
    counts = values(areas(tmp_path, figure=[code, 9]), **POLYGONS | {"figure": "count"})
    assert np.isnan(counts[:, :2]).all()
    assert (counts[:, 3:] > 0).all()


def test_an_invalid_area_is_mended_and_a_repeated_one_counts_once(tmp_path):
    bow = shapely.Polygon([(-77.0, 38.0), (-76.9, 38.1), (-76.9, 38.0), (-77.0, 38.1)])
    frame = geopandas.GeoDataFrame({"figure": [8, 8]}, geometry=[bow, bow], crs=4326)
    frame.to_parquet(tmp_path / "bow.parquet")
    cells = values(tmp_path / "bow.parquet", **POLYGONS | {"figure": "count"})
    assert (np.expm1(cells) * KM2).sum() == pytest.approx(8, rel=1e-6)


def test_the_density_of_points_adds_up_to_their_number(tmp_path):
    # Two places share a point; the third row repeats the second.
    longitude = [-76.95, -76.95, -76.95]
    latitude = [38.05, 38.05, 38.05]
    licence = ["a", "b", "b"]
    cells = np.expm1(values(points(tmp_path, longitude, latitude, licence=licence), kind="points"))
    assert cells.sum() * KM2 == pytest.approx(2, rel=1e-3)
    np.testing.assert_allclose(cells, cells[::-1], rtol=1e-6)
    np.testing.assert_allclose(cells, cells[:, ::-1], rtol=1e-6)
    wider = np.expm1(values(tmp_path / "points.csv", kind="points", width_metres=2_000))
    assert wider.max() < cells.max()


def test_a_distance_is_that_of_the_middle_of_a_cell(tmp_path):
    middle = [float(axis[0]) for axis in cell_middles(CITY, np.array([1]), np.array([2]))]
    cells = values(points(tmp_path, *[[axis] for axis in middle]), kind="points", measure="distance")
    assert cells[1, 2] == pytest.approx(0, abs=1e-6)
    assert cells[2, 2] == pytest.approx(np.log1p(cell_metres(CITY)[0] / 100))
    assert cells[1, 4] == pytest.approx(np.log1p(2 * cell_metres(CITY)[1] / 100))


def test_lines_count_by_their_length_in_a_cell(tmp_path):
    street = shapely.LineString([(-77.2, 38.01), (-76.95, 38.01)])
    geopandas.GeoDataFrame(geometry=[street, street.reverse()], crs=4326).to_parquet(tmp_path / "lines.parquet")
    metres = np.expm1(values(tmp_path / "lines.parquet", kind="lines")) * KM2 * 1_000
    width = Plane.of(CITY.box).width
    # A street that is there in both directions is one street.
    np.testing.assert_allclose(metres[0], width * np.array([0.2, 0.2, 0.1, 0, 0]), rtol=1e-6, atol=1e-6)
    assert not metres[1:].any()
    assert values(tmp_path / "lines.parquet", kind="lines", measure="distance")[0].min() > 0


def unusable(folder: Path) -> None:
    """Write a file with each defect."""
    points(folder, [38.05], [-76.95])
    areas(folder, figure=["low", "high"])
    frame = geopandas.GeoDataFrame({"figure": [0.1, 0.2]}, geometry=[WEST_HALF, WEST_HALF], crs=4326)
    frame.to_parquet(folder / "periods.parquet")
    (folder / "broken.geojson").write_text('{"type": "FeatureCollection", "features": [')
    pd.DataFrame({"date": ["2021-01-01"] * 2, "heat": [1, 2]}).to_csv(folder / "days.csv")


@pytest.mark.parametrize(
    ("file", "settings", "says"),
    [
        ("points.csv", {"kind": "points"}, r"\[38.05, -76.95"),
        ("points.csv", {"kind": "points", "latitude": "lat"}, "lat"),
        ("periods.parquet", POLYGONS | {"column": "poverty"}, "poverty.*figure.*`column`"),
        ("periods.parquet", {"kind": "lines"}, "Polygon.*LineString.*`kind`"),
        ("areas.parquet", POLYGONS, "figure"),
        ("broken.geojson", POLYGONS, ""),
        ("days.csv", {"kind": "series", "column": "heat"}, "date"),
        ("days.csv", {"kind": "series", "column": "rain"}, "rain.*heat"),
        ("broken.geojson", {"kind": "series", "column": "heat"}, "CSV or Parquet"),
    ],
)
def test_unusable_file_is_named(tmp_path: Path, file: str, settings: dict[str, Any], says: str) -> None:
    unusable(tmp_path)
    with pytest.raises(FactorFileError, match=f"square_town.*factors.own.*{tmp_path / file}.*{says}"):
        CityFactors.read(city_with(tmp_path / file, **settings))
