from dataclasses import replace
from datetime import date, timedelta
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
from shotspotter_assets.grid.city_factors import CellInput, CityFactors, FactorFileError, SeriesInput
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day import regime_regression
from shotspotter_assets.models.next_day.daily_inputs import is_same_for_all_cells, names_of_inputs, next_day_inputs
from shotspotter_assets.models.next_day.regime_regression import phrase_of
from shotspotter_assets.models.next_day.shared_regression import SharedRows, fit_shared
from shotspotter_assets_tests.made_up_city import made_up_city
from shotspotter_assets_tests.models.histories import CITY, COVERED, FIRST_DAY, TEST, TRAIN, VALIDATION, build, history

POVERTY = "factor_poverty_rate"
HEAT = "series_heat_0_days_late"
BY_CELL = np.arange(30.0).reshape(6, 5)
SETTINGS = {"path": Path("none"), "known_from": FIRST_DAY}
FACTORS = {
    "poverty": {"kind": "polygons", "column": "poverty", "figure": "rate", **SETTINGS},
    "heat": {"kind": "series", "column": "heat", **SETTINGS},
}
TOWN = CityFile.model_validate(CITY.model_dump() | {"source": {"kind": "simulated"}, "factors": FACTORS})


def at(day: int) -> date:
    return FIRST_DAY + timedelta(days=day)


PUBLISHED = at(100)


def history_with(
    known_from: date = PUBLISHED, by_cell: np.ndarray = BY_CELL, by_day: np.ndarray | None = None, days_late: int = 0
) -> History:
    """`history()` of a town with poverty by cell, and heat by day from its first day on."""
    past = history()
    heat = np.sin(np.arange(290.0)) if by_day is None else by_day
    series = SeriesInput(HEAT, known_from, past.days(), heat, days_late)
    return replace(past, city=TOWN, factors=CityFactors((CellInput(POVERTY, known_from, by_cell),), (series,)))


def inputs(past: History, name: str, days: range = range(291)) -> np.ndarray:
    made = next_day_inputs(past, days)
    return made.values[:, :, made.names.index(name)]  # noqa: PD011 - no data frame


def test_places_enter_a_day_after_publication_relative_to_the_mean_cell() -> None:
    past = history_with()
    poverty = inputs(past, POVERTY)
    assert not poverty[:101].any()
    before = np.cumsum(past.observed, axis=0)[100:]
    expected = (BY_CELL[COVERED] - BY_CELL[COVERED].mean()) / (1 + before)
    np.testing.assert_allclose(poverty[101:], expected, atol=1e-5)


def test_with_a_lead_the_publication_must_be_earlier_by_it() -> None:
    late = replace(history_with(), lead=3)
    assert not inputs(late, POVERTY)[:103].any()
    assert inputs(late, POVERTY)[103].any()
    np.testing.assert_allclose(inputs(late, HEAT)[150:291], inputs(history_with(), HEAT)[148:289])


def test_a_cell_of_which_nothing_is_known_is_an_average_one() -> None:
    unknown = BY_CELL.copy()
    unknown[5] = np.nan
    (factor,) = history_with(by_cell=unknown).factors.of_cells
    poverty = factor.inputs(np.array([at(101)], dtype="datetime64[D]"), COVERED)[0]
    assert not poverty[-5:].any()
    assert poverty[:-5].mean() == pytest.approx(0, abs=1e-9)
    assert not inputs(history_with(by_cell=np.full((6, 5), np.nan)), POVERTY).any()


def test_a_series_enters_as_its_newest_value_relative_to_earlier_ones() -> None:
    heat = np.sin(np.arange(290.0))
    made = inputs(history_with(), HEAT)
    assert not made[:101].any()
    for day in (101, 200, 290):
        assert made[day, 0] == pytest.approx(heat[day - 1] - heat[:day].mean(), abs=1e-5)
    later = heat.copy()
    later[199:] = 9
    np.testing.assert_array_equal(inputs(history_with(by_day=later), HEAT)[:200], made[:200])
    assert is_same_for_all_cells(HEAT)


def test_a_late_series_is_used_late_and_a_forecast_is_used_for_its_day() -> None:
    made = inputs(history_with(), HEAT)
    np.testing.assert_array_equal(inputs(history_with(days_late=5), HEAT)[110:291], made[105:286])
    np.testing.assert_array_equal(inputs(history_with(days_late=-1), HEAT)[110:290], made[111:291])
    # The day after its last one is not known.
    assert not inputs(history_with(days_late=-1), HEAT)[290].any()


def test_names_follow_from_the_citys_file_and_have_words() -> None:
    assert names_of_inputs(TOWN) == next_day_inputs(history_with(), [1]).names
    assert {POVERTY, HEAT} <= set(names_of_inputs(TOWN))
    assert phrase_of(POVERTY) == "poverty rate"
    assert phrase_of(HEAT) is None


def test_models_are_fitted_on_the_factors_known_on_each_day() -> None:
    fitted_on = history_with().data_sha256(250)
    assert history_with(by_cell=BY_CELL + 1).data_sha256(250) != fitted_on
    assert replace(history_with(), counts=history().counts + np.uint8(1)).data_sha256(250) != fitted_on
    heat = np.sin(np.arange(290.0))
    assert history_with(by_day=np.where(np.arange(290) >= 250, 9.0, heat)).data_sha256(250) == fitted_on
    assert history_with(by_day=np.where(np.arange(290) >= 249, 9.0, heat)).data_sha256(250) != fitted_on
    assert history_with(at(250)).data_sha256(250) == history_with(at(250), BY_CELL + 1).data_sha256(250)


@pytest.mark.parametrize("name", ["regime_regression", "residual_boosting"])
def test_noise_in_a_factor_published_after_the_cutoff_changes_no_forecast(name: str) -> None:
    def forecast(known_from: date, seed: int) -> np.ndarray:
        random = np.random.default_rng(seed)
        noisy = history_with(known_from, random.normal(size=(6, 5)), random.normal(size=290))
        return build(name).fit(noisy, TRAIN, VALIDATION).predict(noisy, TEST)

    # Published on the last day before the cutoff: known from the cutoff on.
    published = at(VALIDATION.stop - 1)
    np.testing.assert_array_equal(forecast(published, 1), forecast(published, 2))
    assert np.abs(forecast(PUBLISHED, 1) - forecast(PUBLISHED, 2)).max() > 1e-3


def test_cities_share_weights_of_factors_of_one_name_and_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    cutoff = at(VALIDATION.stop)
    past = history().through(VALIDATION.stop)
    usual = past.observed.mean(axis=0)
    telling = np.zeros((6, 5))
    telling[COVERED] = np.log(usual + 0.01)
    rows = {
        "with": SharedRows.of(history_with(at(60), telling).through(VALIDATION.stop)),
        "without": SharedRows.of(history(seed=3).through(VALIDATION.stop)),
    }
    models = fit_shared(rows, cutoff)
    assert models.everyone.slopes[POVERTY] > 0
    assert models.without["with"].slopes.keys() == models.everyone.slopes.keys()
    assert models.without["with"].slopes[POVERTY] == pytest.approx(0, abs=1e-9)
    start = models.start_of("without", "all-cities")
    # A city that lacks the factor starts at the rest; one that has it starts at its slope.
    build("regime_regression").fit(history(), TRAIN, VALIDATION, FitContext(shared=start))
    monkeypatch.setattr(regime_regression, "SHARED_VARIANCE", 1e-9)
    silent_factor = history_with(at(60), telling, np.full(290, np.nan))
    without_slope = start.model_copy(update={"slopes": {**start.slopes, POVERTY: 0.0}})
    own, other = (
        build("regime_regression").fit(silent_factor, TRAIN, VALIDATION, FitContext(shared=shared))
        for shared in (start, without_slope)
    )
    number = own.names.index(POVERTY)
    # Its own alerts move it, and leave the weights of all other inputs.
    moved = (own.slopes - other.slopes) * own.scale
    kept = moved[number] / (start.slopes[POVERTY] * own.scale[number])
    assert 0 < kept < 1
    np.testing.assert_allclose(np.delete(moved, number), 0, atol=1e-5)


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
