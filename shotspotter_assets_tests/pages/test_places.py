import json
from pathlib import Path

import numpy as np
import pytest
import shapely

from shotspotter_assets.cities.city import Coverage
from shotspotter_assets.cities.layers import Layer
from shotspotter_assets.city_files import PACKAGE_CITIES, load_city
from shotspotter_assets.grid.coverage import cell_districts, district_areas
from shotspotter_assets.pages.places import Places, uncovered
from shotspotter_assets.pages.rendering import (
    CLASSES,
    STEPS,
    amount,
    chance,
    chance_classes,
    legend,
    scale,
    set_apart,
)
from shotspotter_assets_tests.defs.chain import CITIES
from shotspotter_assets_tests.forecasts.street_town import frame_of, written
from shotspotter_assets_tests.pages.site_of_tiny_city import CITY, layers

TINY = CITIES[CITY]


def named(tmp_path: Path, **changes: Layer | None) -> Places:
    given = layers(tmp_path).model_copy(update=changes)
    return Places(TINY.model_copy(update={"layers": given}))


def name(places: Places, row: int, column: int) -> str:
    return places.names(np.array([row]), np.array([column]))[0]


def test_a_place_is_named_by_its_nearest_crossing_and_its_district(tmp_path: Path) -> None:
    places = named(tmp_path)
    assert name(places, 0, 0) == "near A St and 1st St, ward 1"
    assert name(places, 7, 7) == "near D St and 4th St, ward 2"


def test_plans_and_pages_give_a_district_one_name(tmp_path: Path) -> None:
    districts = layers(tmp_path).districts
    coverage = Coverage(file=districts.path, name_property=districts.name, areas={"1": TINY.start, "2": TINY.start})
    town = TINY.model_copy(update={"layers": layers(tmp_path), "coverage": coverage})
    areas = cell_districts(town, district_areas(town))
    row, column = np.indices(town.shape).reshape(2, -1)
    assert [place.rpartition(", ")[2] for place in Places(town).names(row, column)] == areas.ravel().tolist()
    assert set(areas.ravel()) == {"ward 1", "ward 2"}


def test_without_streets_a_place_is_named_by_cell_and_quarter(tmp_path: Path) -> None:
    assert name(named(tmp_path, streets=None), 0, 0) == "cell R00C00, ward 1"
    assert name(Places(TINY), 7, 4) == "cell R07C04, in the north-east"


def test_without_streets_no_two_places_carry_one_name(tmp_path: Path) -> None:
    rows, columns = np.indices(TINY.shape).reshape(2, -1)
    names = Places(TINY).names(rows, columns)
    assert len({*names}) == len(names)


def test_a_street_far_away_names_nothing(tmp_path: Path) -> None:
    frame = frame_of(["Only St"], [shapely.LineString([(-77.06, 38.881), (-77.0, 38.881)])])
    places = named(tmp_path, streets=Layer(path=written(tmp_path, frame, "one.parquet"), name="name"))
    assert name(places, 0, 0) == "near Only St, ward 1"
    assert name(places, 6, 0) == "cell R06C00, ward 1"


def test_layers_that_cover_little_or_have_no_names_have_a_line(tmp_path: Path) -> None:
    places = named(tmp_path)
    assert uncovered(TINY, places.layers) == places.problems == []
    half = [shapely.LineString([(x, 38.88), (x, 38.93)]) for x in (-77.055, -77.0549)]
    few = Layer(path=written(tmp_path, frame_of(["1st St", "2nd St"], half), "few.parquet"), name="name")
    places = named(tmp_path, streets=few)
    [line] = uncovered(TINY, places.layers)
    assert line.startswith("City tiny_city, streets: covers 8 of 64 cells; ")
    assert uncovered(TINY, places.layers, np.array([0, 8])) == []
    nameless = Layer(path=written(tmp_path, frame_of([None, " "], half), "nameless.parquet"), name="name")
    places = named(tmp_path, streets=nameless)
    [line] = places.problems
    assert "layers.streets: nameless.parquet has no name in any row of name. Correct `name`." in line
    assert name(places, 0, 0) == "cell R00C00, ward 1"
    far = Layer(path=written(tmp_path, frame_of(["Far"], [shapely.box(10, 10, 11, 11)]), "far.parquet"), name="name")
    assert "has nothing in the city's box" in named(tmp_path, districts=far).problems[0]


@pytest.mark.parametrize(
    ("key", "shape", "says"),
    [
        ("districts", shapely.Point(-77.03, 38.9), "only MultiPolygon and Polygon can be used here"),
        ("parks", shapely.Point(-77.03, 38.9), "only MultiPolygon and Polygon can be used here"),
        ("streets", shapely.box(-77.05, 38.88, -77.0, 38.93), "only LineString and MultiLineString can be used here"),
    ],
)
def test_shapes_that_a_layer_cannot_have_are_one_line(
    tmp_path: Path, key: str, shape: shapely.Geometry, says: str
) -> None:
    layer = Layer(path=written(tmp_path, frame_of(["A"], [shape]), "shapes.parquet"), name="name")
    [problem] = named(tmp_path, **{key: layer}).problems
    assert f"layers.{key}: shapes.parquet " in problem
    assert says in problem


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_infinite_shapes_are_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    infinite = shapely.Polygon([(-77.06, 38.88), (float("inf"), 38.88), (-77.0, 38.93)])
    wards = frame_of(["A", "B"], [infinite, shapely.box(-77.06, 38.88, -77.0, 38.93)])
    places = named(tmp_path, districts=Layer(path=written(tmp_path, wards, "wards.parquet"), name="name"))
    assert (places.problems, [*places.layers["districts"].index]) == ([], ["B"])
    assert "wards.parquet: 1 shapes with infinite coordinates are left out." in caplog.text


@pytest.mark.parametrize(
    ("probability", "words"),
    [(0.0003, "less than 1 in 1,000"), (0.001, "1 in 1,000"), (0.0049, "1 in 200"), (0.05, "1 in 20"), (0.34, "1 in 3"),
     (0.36, "4 in 10"), (0.5, "5 in 10"), (0.999, "9 in 10")],
)  # fmt: skip
def test_chances_have_words(probability: float, words: str) -> None:
    assert chance(probability) == words


def test_colours_are_scaled_to_the_likeliest_cell() -> None:
    quiet = np.array([0.021, 0.0101, 0.00099, 0.00001])
    assert chance_classes(quiet, scale(quiet)).tolist() == [7, 6, 2, 0]
    assert legend(scale(quiet))[0] == (7, "1 in 50 or more")
    assert legend(scale(quiet))[-2:] == [(1, "1 in 5,000"), (0, "less than 1 in 5,000")]
    assert chance_classes(10 * quiet).tolist() == [6, 5, 1, 0]
    assert legend()[0] == (7, "1 in 2 or more")
    for largest in (1.0, STEPS[0], 1e-9):
        steps = scale(np.array([largest]))
        assert len({colour for colour, _ in legend(steps)}) == len(steps) + 1 <= CLASSES


def test_shared_reasons_stand_apart_from_others() -> None:
    years = "alerts here over the years (odds x2.1)"
    weeks = "alerts nearby (odds x1.2)"
    night = "busy (odds x1.1)"
    shared, apart = set_apart([(years, weeks), (weeks, years.replace("2.1", "9.9")), (years, night)])
    assert shared == ["alerts here over the years"]
    assert apart == [["alerts nearby"], ["alerts nearby"], ["busy"]]
    assert set_apart([(years,)]) == ([], [["alerts here over the years"]])
    assert set_apart([]) == ([], [])


def test_names_and_numbers_for_readers() -> None:
    names = ("washington_dc", "simulated_city", "uc_berkeley", "chicago")
    assert [TINY.model_copy(update={"name": name}).shown_title for name in names] == [
        "Washington DC", "Simulated city", "UC Berkeley", "Chicago",
    ]  # fmt: skip
    assert TINY.model_copy(update={"title": "Springfield, MA"}).shown_title == "Springfield, MA"
    assert [amount(number) for number in (1234.4, 21.36, 5.24, 0.1, 0.034, 0.004, 0.0)] == [
        "1,234.4", "21.4", "5.2", "0.10", "0.03", "less than 0.01", "0.0",
    ]  # fmt: skip


def test_every_cell_of_a_real_city_has_a_name_and_its_map_is_small() -> None:
    city = load_city(PACKAGE_CITIES / "washington_dc.yaml")
    ground = Places(city).ground(np.arange(city.grid.rows * city.grid.columns))
    names = list(ground["places"].values())
    in_districts = [name for name in names if name.endswith(" District")]
    # A quarter of the box is Maryland and Virginia, which the files do not cover.
    assert 0.55 < len(in_districts) / len(names) < 0.75
    assert sum(name.startswith("near ") for name in in_districts) / len(in_districts) > 0.95
    assert len(json.dumps(ground)) < 1_000_000
    assert len(ground["layers"]["districts"]["features"]) == 7
