"""City files: errors name the file, the key, the value and what is allowed."""

import os
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import yaml

from shotspotter_assets.cities.registry import CityFileError, find_city, load_cities, load_city
from shotspotter_assets_tests.conftest import TEST_CITIES

GOOD: dict[str, Any] = yaml.safe_load((TEST_CITIES / "washington_dc.yaml").read_text())
SOCRATA = {"kind": "socrata", "domain": "https://a.example", "dataset": "abcd-1234", "columns": {"time": "date"}}
ALERTS = {
    "kind": "alerts_api", "url": "https://a.example/alerts?from={first}", "paging": {"style": "page"},
    "columns": {"time": "at", "source_id": "id"},
}  # fmt: skip
ARCGIS = {"kind": "arcgis", "layer": "https://a.example/0", "columns": {"time": "T"}}
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


@pytest.mark.parametrize(
    ("changes", "key", "says"),
    [
        ({"time_zone": "Mars/Olympus"}, "time_zone", "America/New_York"),
        ({"time_zone": "EST"}, "time_zone", "'EST' is not an IANA time zone with a region (allowed: names such as America/New"),
        ({"time_zone": "PST8PDT"}, "time_zone", "America/Los_Angeles"),
        ({"time_zone": "Etc/GMT+5"}, "time_zone", "with a region"),
        ({"time_zone": "America/Chigaco"}, "time_zone", "America/Chicago"),
        ({"time_zne": "America/New_York"}, "time_zne", "unknown key; did you mean time_zone? allowed here: name, time_zone"),
        ({"memory_gb": 8}, "memory_gb", "unknown key"),
        ({"box": {**GOOD["box"], "north": 1.0}}, "box", "south (38.81475) must be less than north (1.0)"),
        ({"box": {**GOOD["box"], "west": -76.0}}, "box", "must be less than east"),
        ({"box": SWAPPED}, "box", "longitude and latitude seem to be swapped: west is 38.8147, far from America/New_York"),
        ({"grids": 3}, "grids", "did you mean grid? allowed here: name, time_zone, start, box, grid, source"),
        ({"grid": {"rows": 250, "columns": 250}}, "grid", "250 x 250 are more than 40,000 cells"),
        ({"grid": {"rows": 1}}, "grid.rows", "greater than or equal to 2"),
        ({"start": 20140101}, "start", "YYYY-MM-DD"),
        ({"start": "01/01/2016"}, "start", "write the date as YYYY-MM-DD (got '01/01/2016')"),
        ({"start": datetime(2016, 1, 1, 12)}, "start", "write the date as YYYY-MM-DD"),
        ({"end": "2016"}, "end", "write the date as YYYY-MM-DD"),
        ({"automation": True}, "automation", "write `automation: recent`"),
        ({"automation": False}, "automation", "write `automation: manual`"),
        ({"folds": {"every": "week"}}, "folds.every", "Input should be 'month', 'quarter', 'half_year' or 'year' (got 'week')"),
        ({"name": "Washington DC"}, "name", "^[a-z][a-z0-9_]*$"),
        ({"name": "other"}, "name", "other.yaml"),
        (
            {"source": {**GOOD["source"], "kind": "csv"}},
            "source.kind",
            "'csv' is unknown (allowed: landing, simulated, socrata, arcgis, alerts_api)",
        ),
        ({"source": {"columns": {"time": "t"}}}, "source.kind", "is missing (allowed: landing, simulated, socrata"),
        ({"source": {**GOOD["source"], "naive_times": "cet"}}, "source.naive_times", "'reject', 'local' or 'utc'"),
        ({"source": {**GOOD["source"], "crs": "feet"}}, "source.crs", "'feet' is no coordinate system that PROJ knows"),
        ({"source": {**GOOD["source"], "file_date": "%d"}}, "source.file_date", "%Y-%m-%d"),
        ({"source": {**GOOD["source"], "colums": {}}}, "source.colums", "did you mean columns? allowed here: kind, columns"),
        ({"source": {"kind": "landing", "columns": {}}}, "source.columns.time", "is missing"),
        ({"source": {**SOCRATA, "where": 3}}, "source.where", "valid string (got 3)"),
        ({"source": {**SOCRATA, "domain": "http://a.example"}}, "source.domain", "must be an https:// address"),
        ({"source": {**SOCRATA, "domain": "https://u:p@a.example"}}, "source.domain", "environment variable"),
        ({"source": {**SOCRATA, "token_variable": "Zx81kQ0vT7!"}}, "source.token_variable", "should match pattern"),
        ({"source": {**SOCRATA, "columns": {"time": "a..b"}}}, "source.columns", "'a..b' is not a JMESPath"),
        ({"source": {**SOCRATA, "patience": {"retry": 3}}}, "source.patience.retry", "did you mean retries?"),
        ({"other_sources": [{"kind": "ftp"}]}, "other_sources.0.kind", "'ftp' is unknown (allowed: landing, simulated"),
        ({"other_sources": [SOCRATA, {**ALERTS, "colums": 1}]}, "other_sources.1.colums", "allowed here: kind, columns"),
        ({"source": {**ALERTS, "paging": {"style": "cursor"}}}, "source.paging", "needs next"),
        ({"source": {**ALERTS, "token": {"variable": "T", "as": 1}}}, "source.token.as", "variable, sent_as, name"),
        ({"source": {**ALERTS, "url": "https://a.example/{to}"}}, "source", "url has {to} (allowed: {first}, {last})"),
        ({"source": {**ALERTS, "url": "https://a.example/?key=Zx81kQ0vT7"}}, "source.url", "a secret in its query (key)"),
        ({"source": {**ALERTS, "version": "v", "columns": {"time": "at"}}}, "source", "need columns.source_id"),
        ({"coverage": {"file": "a", "name_property": "b", "areas": {"x": "soon"}}}, "coverage.areas.x", "got 'soon'"),
        ({"factors": {"poverty": {"kind": "raster"}}}, "factors.poverty.kind", "(allowed: polygons, points, lines, series)"),
    ],
)  # fmt: skip
def test_wrong_value_is_named_with_what_is_allowed(
    tmp_path: Path, changes: dict[str, Any], key: str, says: str
) -> None:
    with pytest.raises(CityFileError) as caught:
        load_city(write(tmp_path, **changes))
    message = str(caught.value)
    assert "washington_dc.yaml" in message
    assert f" {key}: " in message
    assert says in message
    assert "\n" not in message
    assert "Zx81kQ0vT7" not in message
    assert len(message) < 1_500


def test_addresses_of_this_machine_may_be_plain_http(tmp_path: Path) -> None:
    for host in ("127.0.0.1:8000", "localhost", "[::1]:8000"):
        city = load_city(write(tmp_path, source={**SOCRATA, "domain": f"http://{host}"}))
        assert city.source.kind == "socrata"


def test_plain_queries_are_no_secrets(tmp_path: Path) -> None:
    url = "https://a.example/alerts?from={first}&to={last}&token={last}&format=json&area=washington_dc&zone=America/New_York"
    assert load_city(write(tmp_path, source={**ALERTS, "url": url})).source.kind == "alerts_api"
    layer = "https://a.example/0?f=json&version=2024-01-01T00:00:00Z"
    assert load_city(write(tmp_path, source={**ARCGIS, "layer": layer})).source.kind == "arcgis"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: &a [x, x]\nb: *a", "line 1, column 4: aliases (* and &) are not allowed"),
        ("name: x\nbox: {west: 1, west: 2}", "line 2, column 16: the key 'west' is there twice, in lines 2 and 2"),
        ("name: x\nstart: 2014-01-01\nname: y", "the key 'name' is there twice, in lines 1 and 3"),
        ("start: 2014-02-30", "line 1, column 8: there is no such timestamp: day is out of range for month"),
        ("name: !!python/object/apply:os.system [ls]", "tags (!) are not allowed here"),
        ("name: !!int Zx81kQ0vT7", "tags (!) are not allowed here"),
        ("a: 1\n--- b", "expected a single document in the stream from line 1 on: but found another document"),
        ("token: *Zx81kQ0vT7", "aliases (* and &) are not allowed here"),
        ("token: [Zx81kQ0vT7", "line 2, column 1: while parsing a flow sequence from line 1 on: did not find"),
        ("token: Zx81kQ0vT7: x", "line 1, column 18: mapping values are not allowed in this context"),
        ("a: " + "{a: " * 900 + "1" + "}" * 900, "nested too deeply"),
        ("[" * 100_000, "exceeded maximum nesting depth"),
        ("rows: " + "9" * 5_000, "there is no such int"),
        ("name: \0", "characters that no text has"),
        ("x" * 300_000, "more than 200,000 bytes"),
        ("name: " + "x" * 100_000, "name: String should have at most 60 characters"),
        ("\n".join(f"key_{number}: 1" for number in range(2_000)), "and 1995 more"),
        ("? [a]\n: 1", "found unhashable key"),
        ("1: 2", "1: "),
        ("", "expected keys and values"),
        ("- a", "expected keys and values"),
        ("\tname: x", "line 1, column 1"),
        (yaml.safe_dump({key: value for key, value in GOOD.items() if key != "box"}), "box: is missing"),
    ],
)
def test_a_file_that_is_no_plain_yaml_gets_one_short_line_at_once(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "washington_dc.yaml"
    file.write_text(text)
    began = monotonic()
    with pytest.raises(CityFileError) as caught:
        load_city(file)
    assert monotonic() - began < 5
    message = str(caught.value)
    assert str(file) in message
    assert says in message
    assert "\n" not in message
    assert "Zx81kQ0vT7" not in message
    assert len(message) < 5_000


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "nowhere.yaml").symlink_to("absent")
    write(tmp_path)
    files = load_cities(tmp_path)
    assert list(files) == ["washington_dc"]
    assert {name: file.problem.rpartition(": ")[2] for name, file in files.unusable.items()} == dict.fromkeys(
        ("folder", "nowhere", "pipe"), "is no file"
    )


def test_one_wrong_file_stops_its_city_alone(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "broken.yaml").write_text("name: broken\nautomation: recent\nbox: [unclosed")
    (tmp_path / "lost.yaml").write_text("start: 0001-01-01")
    files = load_cities(tmp_path)
    assert list(files) == ["washington_dc"]
    assert {name: file.is_automated for name, file in files.unusable.items()} == {"broken": True, "lost": False}
    with pytest.raises(
        CityFileError, match=r"broken stands still until its file is corrected.*broken\.yaml: .* line 3"
    ):
        find_city(files, "broken")
    with pytest.raises(CityFileError, match=r"No city 'atlantis'; the city files describe: washington_dc"):
        find_city(files, "atlantis")


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


def test_two_files_of_one_city(tmp_path: Path) -> None:
    write(tmp_path).rename(tmp_path / "washington_dc.yml")
    write(tmp_path)
    with pytest.raises(CityFileError, match="same city"):
        load_cities(tmp_path)


def test_layers_are_relative_to_the_file_and_must_exist(tmp_path: Path) -> None:
    text = (TEST_CITIES / "tiny_city.yaml").read_text()
    (tmp_path / "tiny_city.yaml").write_text(f"{text}layers: {{districts: {{path: wards.geojson, name: ward}}}}\n")
    with pytest.raises(CityFileError, match=r"layers.districts.path: .*wards.geojson does not exist; a relative path"):
        load_city(tmp_path / "tiny_city.yaml")
    (tmp_path / "wards.geojson").write_text("{}")
    layers = load_city(tmp_path / "tiny_city.yaml").layers
    assert layers.streets is None
    assert layers.districts is not None
    assert layers.districts.path == tmp_path / "wards.geojson"
