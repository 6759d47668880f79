from pathlib import Path
from typing import Any

import pytest
import yaml

from shotspotter_assets.cities.factors import refused_part
from shotspotter_assets.city_files import CityFileError, load_city
from shotspotter_assets_tests.conftest import TEST_CITIES

GOOD: dict[str, Any] = yaml.safe_load((TEST_CITIES / "washington_dc.yaml").read_text())
POVERTY = "{kind: polygons, path: census.parquet, column: poverty, figure: rate, known_from: 2016-12-08}"


def load(folder: Path, factors: str) -> Any:
    (folder / "census.parquet").touch()
    file = folder / "washington_dc.yaml"
    file.write_text(yaml.safe_dump(GOOD) + f"factors: {factors}\n")
    return load_city(file)


def test_inputs_are_named_by_factor_and_definition(tmp_path: Path) -> None:
    city = load(
        tmp_path,
        f"""{{
          poverty: {POVERTY},
          people: {{kind: polygons, path: census.parquet, column: pop, figure: count, known_from: 2016-12-08}},
          liquor: {{kind: points, path: census.parquet, known_from: 2016-12-08, width_metres: 300}},
          park: {{kind: points, path: census.parquet, known_from: 2016-12-08, measure: distance}},
          arterials: {{kind: lines, path: census.parquet, known_from: 2016-12-08}},
          heat: {{kind: series, path: census.parquet, column: tmax, known_from: 2016-12-08}}}}""",
    )
    assert [factor.input_name(name) for name, factor in city.factors.items()] == [
        "factor_poverty_rate", "factor_people_per_km2", "factor_liquor_density_300_m", "factor_park_distance",
        "factor_arterials_length", "series_heat_0_days_late",
    ]  # fmt: skip
    assert city.factors["poverty"].path == tmp_path / "census.parquet"


@pytest.mark.parametrize(
    ("factors", "says"),
    [
        (f"{{poverty: {POVERTY.replace(', known_from: 2016-12-08', '')}}}", "factors.poverty.known_from: is missing"),
        (f"{{poverty: {POVERTY.replace('2016-12-08', '20161208')}}}", "factors.poverty.known_from: write the date as YYYY-MM-DD"),
        (f"{{poverty: {POVERTY.replace('rate', 'median')}}}", "factors.poverty.figure: Input should be 'count' or 'rate'"),
        (f"{{poverty: {POVERTY.replace('polygons', 'raster')}}}", r"poverty: needs an allowed kind, .*\(allowed: lines, "),
        (f"{{poverty: {POVERTY.replace('census', 'none')}}}", "factors.poverty.path: .*none.parquet does not exist"),
        (f"{{Poverty: {POVERTY}}}", "factors.Poverty: use lowercase letters, digits and _"),
        (f"{{hispanic_share: {POVERTY}}}", "hispanic_share cannot be an input: 'hispanic_share' has 'hispanic', and race"),
        (f"{{share: {POVERTY.replace('column: poverty', 'column: B02001_003E')}}}", "'B02001_003E' has 'b02001'"),
        (f"{{share: {POVERTY.replace('census', 'pct_black')}}}", "share cannot be an input: 'pct_black.parquet' has 'black'"),
    ],
)  # fmt: skip
def test_a_wrong_factor_is_named_with_what_is_allowed(tmp_path: Path, factors: str, says: str) -> None:
    with pytest.raises(CityFileError, match=says):
        load(tmp_path, factors)


@pytest.mark.parametrize(
    "name",
    [
        "race", "RaceWhite", "pct_black", "pctblack", "prop_white_and_not_hispanic_or_latino", "latino_pop", "hisp_2010", "NHW",
        "ethnicity", "african american", "asian", "minority_share", "nonwhite", "foreign_born", "born abroad",
        "country of birth", "place-of-birth", "citizenship", "language spoken", "prop_limited_english_speaking", "spanish",
        "ancestry", "nativity", "religion", "surname", "B02001_002E", "B03002_012", "C16001_003", "B17001B_002E", "B05012",
        "DP05_0037PE", "P1_003N", "P003002", "P2_002N", "immigrants", "native_americans",
    ],
)  # fmt: skip
def test_race_ethnicity_and_proxies_are_refused(name: str) -> None:
    assert refused_part(name)


@pytest.mark.parametrize(
    "name",
    [
        "poverty_rate", "fraction_vacant_housing", "median_household_income_usd", "pop_total", "B17001_002E", "B19013_001E",
        "P1_001N", "P001001", "liquor_licences", "bus_stops", "track_length", "birth_rate", "playgrounds", "unemployment",
        "B25002_003E", "renter_pct", "trace", "embraced", "brace_shops", "grace_park",
    ],
)  # fmt: skip
def test_other_names_are_accepted(name: str) -> None:
    assert refused_part(name) is None
