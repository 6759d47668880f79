import json
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
import yaml
from jsonschema import Draft7Validator

from docs.city_schema import city_schema
from shotspotter_assets.alerts.sources import source_kinds
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.city_files import (
    PACKAGE_CITIES,
    SCHEMA,
    CityFileError,
    _Loader,
    find_city,
    load_cities,
    load_city,
    schema_comment,
)
from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets_tests.conftest import TEST_CITIES

GOOD: dict[str, Any] = yaml.safe_load((TEST_CITIES / "washington_dc.yaml").read_text())
SOCRATA = {"kind": "socrata", "domain": "https://a.example", "dataset": "abcd-1234", "columns": {"time": "date"}}
ALERTS = {
    "kind": "alerts_api", "url": "https://a.example/alerts?from={first}", "paging": {"style": "page"},
    "columns": {"time": "at", "source_id": "id"},
}  # fmt: skip
NAMES = sorted(get_args(model.model_fields["kind"].annotation)[0] for model in source_kinds.KINDS)
KINDS = f"source: needs an allowed kind, such as {{kind: {NAMES[0]}, ...}} (allowed: {', '.join(NAMES)})"
MIRRORED = {**GOOD["box"], "west": 76.9005, "east": 77.0485}
SWAPPED = {"west": 38.81475, "south": -77.0485, "east": 38.96875, "north": -76.9005}


def write(folder: Path, **changes: Any) -> Path:
    file = folder / "washington_dc.yaml"
    file.write_text(yaml.safe_dump({**GOOD, **changes}))
    return file


def test_package_cities_load() -> None:
    cities = load_cities()
    assert list(cities) == sorted(cities)
    assert {"chicago", "simulated_city", "washington_dc"} <= set(cities)
    assert cities["washington_dc"].shape == (36, 36)


def test_the_longest_lead_of_washington_dc_covers_its_publication() -> None:
    rule = load_cities()["washington_dc"].publication
    days = days_between(date(2026, 1, 1), date(2027, 12, 31))
    assert max((day - (rule.complete_through(day) or day)).days for day in days) == 106 < rule.longest_lead


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"time_zone": "America/Chigaco"}, "time_zone: 'America/Chigaco' is not an IANA time zone with a region"),
        ({"time_zone": "Etc/GMT+5"}, "time_zone: 'Etc/GMT+5' is not"),
        ({"streets": {"path": "gone.gpkg", "name": "name"}}, "streets.path: "),
        ({"time_zne": "America/New_York"}, "time_zne: unknown key; did you mean time_zone?"),
        ({"box": {**GOOD["box"], "north": 1.0}}, "box: south (38.81475) must be less than north (1.0)"),
        ({"box": SWAPPED}, "box: longitude and latitude seem to be swapped"),
        ({"grid": {"rows": 250, "columns": 250}}, "grid: 250 x 250 are more than 40,000 cells"),
        ({"grid": {"rows": 1}}, "grid.rows: Input should be greater than or equal to 2"),
        ({"start": 20140101}, "start: write the date as YYYY-MM-DD"),
        ({"end": "2016"}, "end: write the date as YYYY-MM-DD"),
        ({"automation": True}, "automation: Input should be 'manual', 'recent' or 'history'"),
        ({"name": "Washington DC"}, "name: use lowercase letters, digits and _, with a letter first"),
        ({"name": "other"}, "name: is 'other', but the file must be named other.yaml"),
        ({"source": {**GOOD["source"], "kind": "csv"}}, KINDS),
        ({"source": {"columns": {"time": "t"}}}, KINDS),
        ({"source": "landing"}, KINDS),
        ({"other_sources": ["landing"]}, KINDS.replace("source:", "other_sources.0:")),
        ({"source": {"kind": "landing", "columns": "time"}}, "source.columns: write keys and values, such as {time: ...}"),
        ({"other_sources": GOOD["source"]}, "other_sources: write a list, such as [first, second]"),
        ({"folds": "quarterly"}, "folds: write keys and values, such as {every: quarter, train: all, validation: 15%, test: "),
        ({"box": [1, 2]}, "box: write keys and values, such as {west: ..., south: ..., east: ..., north: ...}"),
        ({"patrol": {"shifts": ["day"]}}, "patrol.shifts.0: write keys and values, such as {name: ..., start: "),
        ({"event_types": "robbery"}, "event_types: write keys and values, such as {name: ...}"),
        ({"event_types": {"Robbery": ["r"]}}, "event_types.Robbery: use lowercase letters"),
        ({"column": 3}, "column: unknown key; did you mean audit.income.column or "),
        ({"grid": {"column": 3}}, "grid.column: unknown key; did you mean columns?"),
        ({"days_late": 3}, "days_late: unknown key; did you mean publication.days_late?"),
        ({"folds": {"begin": 1}}, "folds.begin: unknown key; allowed: every, train, validation, test"),
        ({"folds": {"train": "5 years"}}, "folds.train: write all, or years such as 5y"),
        ({"folds": {"validation": "100%"}}, "folds.validation: write a share such as 15%, at most 50%, or years such as 5y"),
        ({"folds": {"test": "all"}}, "folds.test: write next, or years such as 5y"),
        ({"folds": {"train": "50y"}}, "file: folds.train (50y) and folds.validation (15%) before "),
        ({"source": {**GOOD["source"], "column": 3}}, "source.column: unknown key; did you mean columns?"),
        ({"box": MIRRORED}, "box: longitudes seem to lack their minus sign"),
        ({"box": {**GOOD["box"], "east": 76.9}}, "box: longitudes seem to lack their minus sign"),
        ({"box": {**GOOD["box"], "west": 77.0, "east": 76.9}}, "box: west (77.0) must be less than east (76.9); longitudes in"),
        ({"first_forecast": date(2013, 1, 1)}, "file: first_forecast (2013-01-01) must be a day from start (2014-01-01) to end ("),
        ({"start": date(2099, 1, 1)}, "file: start (2099-01-01) must be before today"),
        ({"source": {**GOOD["source"], "crs": "feet"}}, "source.crs: 'feet' is not a coordinate system in PROJ's database"),
        ({"source": {**GOOD["source"], "file_date": "%d"}}, "source.file_date: String should match pattern '%Y'"),
        ({"source": {**GOOD["source"], "colums": {}}}, "source.colums: unknown key; did you mean columns?"),
        (
            {"source": {**GOOD["source"], "columns": {"time": "at", "event_type": "kind"}}},
            "source.columns.event_type: unknown key; did you mean gunshot_type?",
        ),
        ({"source": {"kind": "landing", "columns": {}}}, "source.columns.time: is missing"),
        ({"source": {**SOCRATA, "domain": "http://a.example"}}, "source.domain: must be an https:// address"),
        ({"source": {**SOCRATA, "domain": "https://u:p@a.example"}}, "source.domain: must not hold a user or password"),
        ({"source": {**SOCRATA, "token_variable": "Zx81kQ0vT7!"}}, "source.token_variable: String should match pattern"),
        ({"source": {**SOCRATA, "columns": {"time": "a..b"}}}, "source.columns: 'a..b' is not a JMESPath"),
        ({"source": {**SOCRATA, "since": date(2019, 1, 1)}}, "file: no source has the days from start to since (2019-01-01); "),
        ({"other_sources": [SOCRATA, {**ALERTS, "colums": 1}]}, "other_sources.1.colums: unknown key; did you mean columns?"),
        ({"source": {**ALERTS, "paging": {"style": "cursor"}}}, "source.paging: style cursor needs next"),
        ({"source": {**ALERTS, "url": "https://a.example/{to}"}}, "source: url has {to} (allowed: {first}, {last})"),
        ({"source": {**ALERTS, "url": "https://a.example/?key=Zx81kQ0vT7"}}, "source.url: must not hold a secret in its query"),
        ({"source": {**ALERTS, "version": "v", "columns": {"time": "at"}}}, "source: alerts with a version need columns.source_id"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_key_and_reason(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(CityFileError) as caught:
        load_city(write(tmp_path, **changes))
    message = str(caught.value)
    assert f"washington_dc.yaml: {says}" in message
    assert "\n" not in message
    assert "Zx81kQ0vT7" not in message


@pytest.mark.parametrize(
    ("paths", "says"),
    [
        (("a/x/alerts", "b/x/alerts"), "end alike; rename one"),
        (("a/x/alerts", "b/../a/x/alerts"), "share a folder"),
        (("a/x/alerts", "{}/a/x"), "or one lies in another"),
    ],
)
def test_a_folder_or_name_of_two_sources_is_refused(tmp_path: Path, paths: tuple[str, str], says: str) -> None:
    for folder in ("a/x/alerts", "b/x/alerts"):
        (tmp_path / folder).mkdir(parents=True)
    source, other = ({**GOOD["source"], "path": path.format(tmp_path)} for path in paths)
    with pytest.raises(CityFileError, match=says):
        load_city(write(tmp_path, source=source, other_sources=[other]))


def test_loopback_addresses_may_be_http_and_plain_queries_are_no_secrets(tmp_path: Path) -> None:
    urls = ("http://127.0.0.1:8000", "http://[::1]:8000", "https://a.example/0?from={first}&token={last}&format=json")
    for url in urls:
        assert load_city(write(tmp_path, source={**ALERTS, "url": url})).source.kind == "alerts_api"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: x\nbox: {west: 1, west: 2}", "line 2: the key west is there twice"),
        ("name: x\nstart: 2014-01-01\nname: y", "line 3: the key name is there twice, first on line 1"),
        ("name: x\nstart: 2014-02-30", "line 2: day is out of range"),
        ("name: !!python/object/apply:os.system [ls]", "line 1: could not determine a constructor"),
        ("a: 1\n--- b", "line 2: but found another document"),
        ("token: [Zx81kQ0vT7", "line 2: did not find expected ',' or ']'"),
        ("token: Zx81kQ0vT7: x", "line 1: mapping values are not allowed in this context"),
        ("[" * 100_000, "exceeded maximum nesting depth"),
        ("name: \0", "cannot be read as YAML"),
        ("\n".join(f"key_{number}: 1" for number in range(2_000)), "and 1995 more"),
        ("? [a]\n: 1", "found unhashable key"),
        ("", "expected keys and values"),
        ("- a", "expected keys and values"),
        (yaml.safe_dump({key: value for key, value in GOOD.items() if key != "box"}), "box: is missing"),
    ],
)
def test_a_file_that_is_no_plain_yaml_gets_one_line(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "washington_dc.yaml"
    file.write_text(text)
    with pytest.raises(CityFileError) as caught:
        load_city(file)
    message = str(caught.value)
    assert str(file) in message
    assert says in message
    assert "\n" not in message
    assert "Zx81kQ0vT7" not in message


def test_one_wrong_file_stops_its_city_alone(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "broken.yaml").write_text("name: broken\nautomation: recent\nbox: [unclosed")
    (tmp_path / "folder.yaml").mkdir()
    files = load_cities(tmp_path)
    assert list(files) == ["washington_dc"]
    assert list(files.unusable) == ["broken", "folder"]
    says = r"broken stands still until its file is corrected.*broken\.yaml: .* line 4"
    with pytest.raises(CityFileError, match=says):
        find_city(files, "broken")
    with pytest.raises(CityFileError, match=r"No city 'atlantis'; the city files describe: washington_dc"):
        find_city(files, "atlantis")


@pytest.mark.parametrize("name", ["washington_dc.yml", "washington_dc.YAML"])
def test_another_ending_is_named_as_wrong(name: str, tmp_path: Path) -> None:
    write(tmp_path).rename(tmp_path / name)
    with pytest.raises(CityFileError, match=r"is not read; rename it to washington_dc\.yaml"):
        load_cities(tmp_path)
    write(tmp_path)
    files = load_cities(tmp_path)
    assert list(files) == ["washington_dc"]
    assert list(files.unusable) == [name]
    assert find_city(files, "washington_dc").name == "washington_dc"


def test_start_is_before_today_on_the_citys_clock(tmp_path: Path) -> None:
    today = datetime.now(ZoneInfo("Pacific/Auckland")).date()
    place = {"time_zone": "Pacific/Auckland", "box": {"west": 174.6, "south": -37.0, "east": 174.9, "north": -36.7}}
    with pytest.raises(CityFileError, match=f"start .{today}. must be before today"):
        load_city(write(tmp_path, start=today, **place))
    assert load_city(write(tmp_path, start=today - timedelta(days=1), **place)).time_zone == "Pacific/Auckland"


@pytest.mark.parametrize(
    ("zone", "west"), [("Pacific/Apia", -172.0), ("Pacific/Honolulu", -158.0), ("Asia/Shanghai", 75.0)]
)
def test_unusual_longitudes_of_a_time_zone_are_allowed(zone: str, west: float, tmp_path: Path) -> None:
    box = {"west": west, "south": 41.0, "east": west + 0.5, "north": 41.5}
    assert load_city(write(tmp_path, time_zone=zone, box=box)).box.west == west


def test_a_folder_with_wrong_files_alone_is_refused(tmp_path: Path) -> None:
    write(tmp_path, box=3)
    (tmp_path / "broken.yaml").write_text("- a")
    with pytest.raises(CityFileError, match=r"(?s)broken\.yaml: expected keys.*\n.*washington_dc\.yaml: box: "):
        load_cities(tmp_path)


def test_folder_without_cities(tmp_path: Path) -> None:
    with pytest.raises(CityFileError, match=r"holds no \*\.yaml file"):
        load_cities(tmp_path)
    with pytest.raises(CityFileError, match="SHOTSPOTTER_CITIES"):
        load_cities(tmp_path / "absent")


FILES = [*sorted(PACKAGE_CITIES.glob("*.yaml")), *sorted(TEST_CITIES.glob("*.yaml"))]
VALIDATOR = Draft7Validator(json.loads(SCHEMA.read_text()), format_checker=Draft7Validator.FORMAT_CHECKER)
SIMULATED = yaml.safe_load((PACKAGE_CITIES / "simulated_city.yaml").read_text())


def problems(city: dict[str, Any]) -> list[str]:
    """Messages of the schema about a city; editors read dates as texts."""
    content = json.loads(json.dumps(city, default=date.isoformat))
    return [error.message for error in VALIDATOR.iter_errors(content)]


def shown_cities() -> Iterator[tuple[str, dict[str, Any]]]:
    """Cities that the documentation shows in full, and its sections as parts of the simulated city, by page."""
    for page in sorted((CHECKOUT / "docs").rglob("*.md")):
        if page.name == "new_source.md":  # its kind of source is one that the reader adds
            continue
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
            content = None if "..." in block else yaml.load(block, Loader=_Loader)
            if isinstance(content, dict) and content.keys() <= City.model_fields.keys():
                yield page.name, SIMULATED | content


def test_the_schema_is_that_of_the_model() -> None:
    assert SCHEMA.read_text() == city_schema(), "run python -m docs.public_surface"
    Draft7Validator.check_schema(VALIDATOR.schema)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_usable_files_are_valid(file: Path) -> None:
    assert problems(yaml.load(file.read_text(), Loader=_Loader)) == []


def test_shown_cities_are_valid() -> None:
    shown = [*shown_cities()]
    assert {"new_city.md", "second_target.md", "patrol_plans.md"} <= {page for page, _ in shown}
    assert {page: found for page, city in shown if (found := problems(city))} == {}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"time_zne": "America/New_York"}, "time_zne"),
        ({"limits": {"memory": 100}}, "memory"),
        ({"source": {"kind": "simulated", "sed": 1}}, "sed"),
        ({"forecasters": {"residual_boosting": {"max_tree": 60}}}, "max_tree"),
        ({"retraining": "monthly"}, "monthly"),
        ({"start": "soon"}, "soon"),
    ],
)
def test_a_wrong_key_or_value_is_named(changes: dict[str, Any], named: str) -> None:
    [problem] = problems(SIMULATED | changes)
    assert named in problem


def test_a_file_without_a_required_key_is_refused() -> None:
    assert problems({key: value for key, value in SIMULATED.items() if key != "box"}) == [
        "'box' is a required property"
    ]


def test_every_key_is_described() -> None:
    assert [key for key, schema in VALIDATOR.schema["properties"].items() if not schema.get("description")] == []


def test_shipped_files_name_the_schema_beside_them_and_others_its_path(tmp_path: Path) -> None:
    assert {file.read_text().splitlines()[0] for file in PACKAGE_CITIES.glob("*.yaml")} == {
        schema_comment(PACKAGE_CITIES)
    }
    for folder in (PACKAGE_CITIES, tmp_path):
        address = schema_comment(folder).partition("$schema=")[2]
        assert (folder / address).resolve() == SCHEMA.resolve()
