"""City files: what is accepted, and that a wrong file is told which key is wrong and what is allowed."""

import os
from datetime import date, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import yaml

from shotspotter_assets.cities.registry import (
    CityFileError,
    UnknownCityError,
    find_city,
    load_cities,
    load_city,
)
from shotspotter_assets_tests.conftest import TEST_CITIES

GOOD: dict[str, Any] = yaml.safe_load((TEST_CITIES / "washington_dc.yaml").read_text())
SOCRATA = {"kind": "socrata", "domain": "https://a.example", "dataset": "abcd-1234", "columns": {"time": "date"}}
ALERTS = {
    "kind": "alerts_api", "url": "https://a.example/alerts?from={first}", "paging": {"style": "page"},
    "columns": {"time": "at", "source_id": "id"},
}  # fmt: skip
ARCGIS = {"kind": "arcgis", "layer": "https://a.example/0", "columns": {"time": "T"}}


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
        ({"box": {**GOOD["box"], "north": 1.0}}, "box", "south (38.81475) must be less than north (1.0)"),
        ({"box": {**GOOD["box"], "west": -76.0}}, "box", "must be less than east"),
        ({"grids": 3}, "grids", "allowed here: name, time_zone, start, box, grid, source"),
        ({"start": 20140101}, "start", "YYYY-MM-DD"),
        ({"start": "soon"}, "start", "write the date as YYYY-MM-DD (got 'soon')"),
        ({"start": "01/01/2016"}, "start", "write the date as YYYY-MM-DD (got '01/01/2016')"),
        ({"end": "2016"}, "end", "write the date as YYYY-MM-DD"),
        ({"start": datetime(2016, 1, 1, 12)}, "start", "write the date as YYYY-MM-DD"),
        ({"automation": True}, "automation", "write `automation: recent`"),
        ({"automation": False}, "automation", "write `automation: manual`"),
        ({"automation": "on"}, "automation", "'manual', 'recent' or 'history'"),
        ({"grid": {"rows": 1}}, "grid.rows", "greater than or equal to 2"),
        ({"name": "Washington DC"}, "name", "^[a-z][a-z0-9_]*$"),
        ({"name": "other"}, "name", "other.yaml"),
        (
            {"source": {**GOOD["source"], "kind": "ftp"}},
            "source",
            "'landing', 'simulated', 'socrata', 'arcgis', 'alerts_api'",
        ),
        ({"source": {**GOOD["source"], "naive_times": "cet"}}, "source.naive_times", "'reject', 'local' or 'utc'"),
        ({"source": {**GOOD["source"], "crs": "feet"}}, "source.crs", "'feet' is no coordinate system that PROJ knows"),
        ({"source": {**GOOD["source"], "file_date": "%d"}}, "source.file_date", "%Y-%m-%d"),
        ({"source": {**GOOD["source"], "colums": {}}}, "source.colums", "allowed here: kind, columns"),
        ({"source": {"kind": "landing", "columns": {}}}, "source.columns.time", "is missing"),
        (
            {"source": {"kind": "landing", "columns": {"time": "t", "x": "x"}}},
            "source.columns.x",
            "longitude, latitude",
        ),
        ({"source": {**SOCRATA, "where": 3}}, "source.where", "valid string (got 3)"),
        ({"source": {**SOCRATA, "layer": "x"}}, "source.layer", "allowed here: kind, columns"),
        ({"source": {**SOCRATA, "domain": "http://a.example"}}, "source.domain", "must be an https:// address"),
        ({"source": {**SOCRATA, "domain": "https://u:p@a.example"}}, "source.domain", "environment variable"),
        ({"source": {**SOCRATA, "dataset": "alerts"}}, "source.dataset", "should match pattern"),
        ({"source": {**SOCRATA, "token_variable": "a token!"}}, "source.token_variable", "should match pattern"),
        ({"source": {**SOCRATA, "columns": {"time": "a..b"}}}, "source.columns", "'a..b' is not a JMESPath"),
        ({"source": {**SOCRATA, "patience": {"retry": 3}}}, "source.patience.retry", "connect_seconds, read_seconds"),
        ({"source": {"kind": "arcgis", "columns": {"time": "T"}}}, "source.layer", "is missing"),
        ({"other_sources": [{"kind": "ftp"}]}, "other_sources.0", "'landing', 'simulated'"),
        ({"other_sources": [{"kind": "landing"}]}, "other_sources.0.columns", "is missing"),
        (
            {"other_sources": [SOCRATA, {**ALERTS, "colums": 1}]},
            "other_sources.1.colums",
            "allowed here: kind, columns",
        ),
        (
            {"other_sources": [{**SOCRATA, "columns": {"time": "t", "x": 1}}]},
            "other_sources.0.columns.x",
            "time_of_day",
        ),
        ({"source": {**ALERTS, "paging": {"style": "cursor"}}}, "source.paging", "needs next"),
        ({"source": {**ALERTS, "paging": {"style": "scroll"}}}, "source.paging.style", "'page', 'offset', 'cursor'"),
        ({"source": {**ALERTS, "paging": {"style": "page", "n": 1}}}, "source.paging.n", "style, parameter"),
        ({"source": {**ALERTS, "token": {"variable": "T", "as": 1}}}, "source.token.as", "variable, sent_as, name"),
        (
            {"source": {**ALERTS, "url": "https://a.example/{begin}"}},
            "source",
            "url has {begin} (allowed: {first}, {last})",
        ),
        ({"source": {**ALERTS, "corrections": {"url": "https://a.example/"}}}, "source", "must hold {since}"),
        ({"source": {**ALERTS, "version": "v", "columns": {"time": "at"}}}, "source", "need columns.source_id"),
        ({"coverage": {"file": "a", "name_property": "b", "areas": {"x": "soon"}}}, "coverage.areas.x", "got 'soon'"),
        ({"coverage": {"file": "a", "name": "b"}}, "coverage.name", "file, name_property, areas"),
    ],
)
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
        ("a: &a [x, x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]", "line 1, column 4: aliases (* and &) are not allowed"),
        ("name: x\nbox: {west: 1, west: 2}", "line 2, column 16: the key 'west' is there twice, in lines 2 and 2"),
        ("name: x\nstart: 2014-01-01\nname: y", "the key 'name' is there twice, in lines 1 and 3"),
        ("start: 2014-02-30", "line 1, column 8: a value of the kind timestamp that there cannot be"),
        ("name: !!python/object/apply:os.system [ls]", "tags (!) are not allowed here"),
        ("name: !Zx81kQ0vT7", "tags (!) are not allowed here"),
        *(
            (f"name: {tag}", "tags (!) are not allowed here")
            for tag in ("!!bool x", "!!timestamp x", "!!map abc", "!!int Zx81kQ0vT7")
        ),
        (
            "a: 1\n--- b",
            "expected a single document in the stream from line 1, column 1 on, but found another document",
        ),
        ("token: *Zx81kQ0vT7", "aliases (* and &) are not allowed here"),
        (
            "token: [Zx81kQ0vT7",
            "line 2, column 1: while parsing a flow sequence from line 1, column 8 on, did not find expected ',' or ']'",
        ),
        ("token: Zx81kQ0vT7: x", "line 1, column 18: mapping values are not allowed in this context"),
        ("[" * 100 + "]" * 100, "nested too deeply"),
        ("a: " + "{a: " * 900 + "1" + "}" * 900, "nested too deeply"),
        ("\n".join("  " * depth + "a:" for depth in range(60)), "nested too deeply"),
        ("[" * 100_000, "exceeded maximum nesting depth"),
        ("rows: " + "9" * 5_000, "a value of the kind int"),
        ("name: \0", "characters that no text has"),
        ("x" * 300_000, "more than 200,000 bytes"),
        ("name: " + "x" * 100_000, "name: String should have at most 60 characters"),
        ("\n".join(f"key_{number}: 1" for number in range(2_000)), "and 1995 more"),
        ("? [a]\n: 1", "found unhashable key"),
        ("1: 2", "1: "),
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
    (tmp_path / "broken.yaml").write_text("name: broken\nstart: 2012-05-01\nautomation: recent\nbox: [unclosed")
    (tmp_path / "lost.yaml").write_text("start: 0001-01-01")
    (tmp_path / "child.yaml").write_text(yaml.safe_dump({**GOOD, "name": "child"}))
    files = load_cities(tmp_path)
    assert list(files) == ["child", "washington_dc"]
    assert list(files.unusable) == ["broken", "lost"]
    assert (files.unusable["broken"].start, files.unusable["broken"].is_automated) == (date(2012, 5, 1), True)
    assert (files.unusable["lost"].start, files.unusable["lost"].is_automated) == (None, False)
    with pytest.raises(CityFileError, match=r"broken stands still until its file can be used.*broken\.yaml: .* line 4"):
        find_city(files, "broken")
    with pytest.raises(UnknownCityError):
        find_city(files, "atlantis")


def test_a_folder_with_wrong_files_alone_is_refused(tmp_path: Path) -> None:
    write(tmp_path, box=3)
    (tmp_path / "broken.yaml").write_text("- a")
    with pytest.raises(CityFileError, match=r"(?s)broken\.yaml: expected keys.*\n.*washington_dc\.yaml: box: "):
        load_cities(tmp_path)


def test_missing_key(tmp_path: Path) -> None:
    file = tmp_path / "washington_dc.yaml"
    file.write_text(yaml.safe_dump({key: value for key, value in GOOD.items() if key != "box"}))
    with pytest.raises(CityFileError, match="box: is missing"):
        load_city(file)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "name: [unclosed", "\tname: x"])
def test_not_a_mapping(tmp_path: Path, text: str) -> None:
    file = tmp_path / "washington_dc.yaml"
    file.write_text(text)
    with pytest.raises(CityFileError, match=r"washington_dc\.yaml"):
        load_city(file)


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


def test_a_key_of_an_earlier_version_is_refused_with_what_to_write_instead(tmp_path: Path) -> None:
    file = write(tmp_path, pretrained="oakland_ca")
    with pytest.raises(CityFileError, match=r"pretrained: is no key any more; take it out.*write `shared: false`"):
        load_city(file)


def test_unknown_city_lists_the_known_ones() -> None:
    with pytest.raises(UnknownCityError, match="simulated_city"):
        find_city(load_cities(), "atlantis")


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
