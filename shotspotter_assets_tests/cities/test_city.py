import json
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.folds import Folds
from shotspotter_assets.cities.layers import refused_part
from shotspotter_assets.cities.patrol_rules import PatrolRules, Repeats, Shift
from shotspotter_assets.cities.publication import NowcastRules
from shotspotter_assets.cities.stored_settings import refuse_other_settings, settings_version
from shotspotter_assets.city_files import CityFile, CityFileError, load_city
from shotspotter_assets.forecasts.risk_tables import NOON
from shotspotter_assets.grid.shapes import polygon_feature, read_areas
from shotspotter_assets.storage.catalogue import ALERTS, Asset
from shotspotter_assets.storage.lineage import Origin
from shotspotter_assets_tests.cities.test_city_files import write
from shotspotter_assets_tests.conftest import TEST_CITIES

LANDING: dict[str, Any] = yaml.safe_load((TEST_CITIES / "landing_city.yaml").read_text())
NOW = {"publication": {"days_late": 0}}
PATROL: dict[str, Any] = {
    "shifts": [{"name": "day", "start": 6, "end": 18, "units": 4}, {"name": "night", "start": 18, "end": 6, "units": 6}],
    "shares": [0.5, 0.2], "repeats": {"most": 3, "days": 7},
}  # fmt: skip
WEST = polygon_feature((-77, 38, -76.5, 39), {"name": "West", "number": 7})
AREAS = {"type": "FeatureCollection", "features": [WEST]}
COVERAGE = {"file": "areas.geojson", "name_property": "name", "areas": {"West": "2024-03-05"}}


def city(**changes: Any) -> City:
    return CityFile.model_validate(LANDING | changes)


def test_rules_are_read() -> None:
    both = city(**NOW, nowcasts={"every_seconds": 30}, retraining="daily")
    assert (both.nowcasts, both.retraining) == (NowcastRules(every_seconds=30), "daily")
    assert city(patrol=PATROL).patrol == PatrolRules(
        shifts=(Shift(name="day", start=6, end=18, units=4), Shift(name="night", start=18, end=6, units=6)),
        shares=(0.5, 0.2),
        repeats=Repeats(most=3, days=7),
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (NOW | {"nowcasts": {"every_seconds": 29}}, "greater than or equal to 30"),
        ({"nowcasts": {}}, r"write publication: \{days_late: 0\}"),
        (NOW | {"nowcasts": {}, "time_precision": "hour"}, "needs times of alerts to the second"),
        ({"retraining": "hourly"}, "retraining: hourly .* needs nowcasts"),
        (
            NOW | {"nowcasts": {}, "retraining": "hourly", "approval": "person"},
            "needs nowcasts and approval: automatic",
        ),
        ({"end": "2001-01-01"}, "must not be before start"),
        ({"holidays": "Atlantis"}, "not a country with a calendar"),
        ({"event_types": {"Robbery": []}}, "should match pattern"),
        ({"event_types": {"robbery": ["Theft"], "theft": ["theft"]}}, "a spelling under two names"),
        ({"targets": {"public": ["gunshots"]}}, "targets must not be named public"),
        ({"targets": {}}, "targets must name a forecast"),
        ({"targets": {"robbery": []}}, "targets.robbery: names nothing; it needs different events"),
        ({"event_types": {"gunshots": ["x"]}}, "event_types must not be named gunshots"),
        ({"patrol": PATROL | {"weights": {"robbery": 2}}}, "patrol.weights must name targets: gunfire"),
        ({"patrol": PATROL | {"weights": {"gunfire": 0}}}, "must leave a target above 0"),
        (
            {"targets": {"gunfire": ["gunshots", "gunshots"]}},
            "targets.gunfire: names gunshots, gunshots; it needs different events",
        ),
        (
            {"targets": {"robbery": ["robbery"]}},
            r"targets.robbery: names robbery; it needs different events \(allowed: gunshots\)",
        ),
        ({"other_sources": [{"kind": "simulated"}]}, "cannot be simulated"),
        ({"other_sources": [LANDING["source"]]}, "two landing sources share a folder"),
        ({"patrol": PATROL | {"shares": [0.2, 0.5]}}, "never rise"),
        ({"patrol": PATROL | {"shares": [0.9, 0.2]}}, "patrol.shares"),
        ({"patrol": PATROL | {"shifts": [PATROL["shifts"][0] | {"end": 6}]}}, "patrol.shifts"),
        (
            {"patrol": PATROL | {"shifts": [PATROL["shifts"][1] | {"end": 13}]}},
            f"must not be after {NOON} of the next day",
        ),
        ({"patrol": PATROL | {"repeats": {"most": 7, "days": 7}}}, "must be less than days"),
        ({"patrol": PATROL | {"shifts": [*PATROL["shifts"], PATROL["shifts"][0]]}}, "two shifts have the same name"),
    ],
)
def test_rules_that_contradict_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        city(**changes)


@pytest.mark.parametrize(("precision", "hours", "shortest"), [("hour", 0, 1), ("day", 1, 24)])
def test_spans_shorter_than_the_published_times_are_refused(precision: Any, hours: int, shortest: int) -> None:
    city(time_precision=precision).require_times(shortest)
    with pytest.raises(ValueError, match=rf"landing_city: spans of {hours} h .*time_precision: {precision}"):
        city(time_precision=precision).require_times(hours)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, None),
        ({"file": "other.geojson"}, r"coverage\.file: .*other.geojson does not exist; a relative path"),
        ({"areas": {"East": "2024-03-05"}}, "has no area East; it has: West"),
        ({"name_property": "title"}, "has no column title; it has name, number"),
        ({"file": "landing_city.yaml"}, r"landing_city\.yaml cannot be read"),
    ],
)
def test_a_coverage_file_has_the_named_areas(tmp_path: Path, changes: dict[str, Any], says: str | None) -> None:
    (tmp_path / "areas.geojson").write_text(json.dumps(AREAS))
    file = tmp_path / "landing_city.yaml"
    file.write_text(yaml.safe_dump({**LANDING, "coverage": {**COVERAGE, **changes}}))
    with pytest.raises(ValueError, match=says) if says else nullcontext():
        coverage = load_city(file).coverage
        assert [name for name, _ in read_areas(coverage.file, coverage.name_property, coverage.areas)] == ["West"]


CITY = load_city(TEST_CITIES / "landing_city.yaml")
DAYS = [date(2024, 3, day) for day in (1, 2, 3)]


@pytest.mark.parametrize(
    ("changes", "stale"),
    [
        ({"time_zone": "America/Chicago"}, "rcg"),
        ({"source": {"naive_times": "utc"}}, "rcg"),
        ({"source": {"settle_seconds": 9}}, ""),
        ({"box": {"west": -77.5, "south": 38.0, "east": -76.0, "north": 39.0}}, "cg"),
        ({"gunshot_spellings": {"bang": 0}}, "cg"),
        ({"event_types": {"robbery": ["robbery"]}}, "cg"),
        ({"grid": {"rows": 8, "columns": 4}}, "g"),
        ({"counted": "incidents"}, "g"),
        ({"time_precision": "hour", "start": date(2023, 1, 1)}, ""),
    ],
)
def test_a_changed_setting_refuses_the_days_that_depend_on_it(changes: dict[str, Any], stale: str) -> None:
    source = CITY.source.model_dump() | changes.get("source", {})
    city = CityFile.model_validate(CITY.model_dump() | changes | {"source": source})
    for asset in ALERTS:
        lineage = {str(day): Origin("", settings_version(CITY, asset)) for day in DAYS}
        refuse_other_settings(lineage, DAYS, CITY, asset)
        with pytest.raises(ValueError, match=f"{asset} of 3 days") if asset[0] in stale else nullcontext():
            refuse_other_settings(lineage, DAYS, city, asset)


@pytest.mark.parametrize("asset", ALERTS)
def test_the_refusal_names_the_days_and_the_command_that_rebuilds_them(asset: Asset) -> None:
    versions = [settings_version(CITY, asset), "other", "other"]
    lineage = {str(day): Origin("", version) for day, version in zip(DAYS, versions, strict=True)}
    with pytest.raises(ValueError, match=f"landing_city: {asset} of 2 days, 2024-03-02 to 2024-03-03") as refused:
        refuse_other_settings(lineage, DAYS, CITY, asset)
    selection = "landing_city/raw_alerts,landing_city/cleaned_alerts,landing_city/grid_tensors"
    assert f"dg launch --assets {selection} --partition-range 2024-03-02...2024-03-03" in str(refused.value)


ENTRIES = """
acknowledged:
  - {check: unusual_days, first: 2023-07-01, last: 2023-07-31, by: A. Smith, on: 2026-11-29, note: sensors were down}
  - {file: november.csv, by: A. Smith, on: 2026-11-29}
"""


def test_entries_are_read_as_they_are_written(tmp_path: Path) -> None:
    file = write(tmp_path)
    file.write_text(file.read_text() + ENTRIES)
    city = load_city(file)
    assert city.site.acknowledged_files == {"november.csv"}
    days, landed = city.acknowledged
    assert str(days) == "Acknowledged by A. Smith on 2026-11-29: sensors were down"
    assert str(landed) == "Acknowledged by A. Smith on 2026-11-29"
    assert [days.holds(date(2023, *at)) for at in ((6, 30), (7, 1), (7, 31), (8, 1))] == [False, True, True, False]
    assert not landed.holds(date(2023, 7, 1))


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("{check: points, by: A, on: 2026-11-29}", "write either check with first (and last), or file"),
        ("{first: 2023-07-01, by: A, on: 2026-11-29}", "write either check with first (and last), or file"),
        ("{file: a.csv, check: points, by: A, on: 2026-11-29}", "write either check with first (and last), or file"),
        (
            "{check: points, first: 2023-07-02, last: 2023-07-01, by: A, on: 2026-11-29}",
            "last (2023-07-01) must not be before first (2023-07-02)",
        ),
        ("{file: in/a.csv, by: A, on: 2026-11-29}", "'in/a.csv' must be the name of a file, without folders"),
        ("{file: a.csv, by: A, on: yesterday}", "write the date as YYYY-MM-DD"),
        ("{file: a.csv, on: 2026-11-29}", "is missing"),
    ],
)
def test_wrong_entries_are_explained_in_one_line(entry: str, reason: str, tmp_path: Path) -> None:
    file = write(tmp_path)
    file.write_text(f"{file.read_text()}\nacknowledged: [{entry}]\n")
    with pytest.raises(CityFileError) as caught:
        load_city(file)
    assert "acknowledged.0" in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


CUTOFF = date(2020, 1, 1)
START = date(2014, 1, 1)


@pytest.mark.parametrize(
    ("windows", "first", "validation_days"),
    [
        ({}, date(2019, 10, 3), 329),
        ({"validation": "1y"}, date(2018, 10, 3), 365),
        ({"train": "5y", "validation": "1y"}, START, 365),
        # 1,095 days to train on are 85% of 1,288.
        ({"train": "3y"}, date(2016, 6, 22), 193),
    ],
)
def test_windows_before_the_cutoff(windows: dict[str, str], first: date, validation_days: int) -> None:
    folds = Folds(**windows)
    assert folds.first_day(CUTOFF) == first
    days = (CUTOFF - (START if folds.train == "all" else first)).days
    assert folds.validation_days(CUTOFF, days) == validation_days
    assert folds.problem(START, CUTOFF) == ""


def test_the_first_cutoff_has_its_windows_before_it() -> None:
    assert Folds(every="year", train="5y", validation="1y").first_cutoff(START) == CUTOFF
    # 90 days to train on, then a year.
    assert Folds(validation="1y").first_cutoff(START) == date(2015, 4, 1)
    assert Folds().first_cutoff(START) == date(2014, 4, 1)


def test_windows_longer_than_the_history_are_named_with_what_is_allowed() -> None:
    assert Folds(train="5y", validation="1y").problem(START, date(2018, 1, 1)) == (
        "folds.train (5y) and folds.validation (1y) before 2018-01-01 need data from 2012-01-01 on, and the city's start is "
        "2014-01-01 (allowed: 4.0 years together, or train: all)"
    )


def test_a_run_changes_only_the_windows_that_it_names() -> None:
    folds = Folds(every="year", train="5y")
    assert folds.changed({"train": "", "validation": "1y"}) == Folds(every="year", train="5y", validation="1y")
    with pytest.raises(ValueError, match=r"^folds.train: write all, or years such as 5y$"):
        folds.changed({"train": "70%"})


def test_windows_of_a_cutoff_on_29_february() -> None:
    folds = Folds(train="5y", validation="1y", test="1y")
    cutoff = date(2020, 2, 29)
    assert folds.first_day(cutoff) == date(2014, 3, 1)
    assert folds.last_test_day(cutoff) == date(2021, 2, 28)
    assert folds.validation_days(cutoff, 2000) == 365


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
