"""City files: what is accepted, and that a wrong file is told which key is wrong and what is allowed."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from shotspotter_assets.cities.__main__ import main
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


def test_addresses_of_this_machine_may_be_plain_http(tmp_path: Path) -> None:
    for host in ("127.0.0.1:8000", "localhost", "[::1]:8000"):
        city = load_city(write(tmp_path, source={**SOCRATA, "domain": f"http://{host}"}))
        assert city.source.kind == "socrata"


def test_the_command_prints_a_line_for_each_wrong_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path)
    main([str(tmp_path)])
    assert capsys.readouterr().out == f"{tmp_path}: 1 city files can be used: washington_dc.\n"
    write(tmp_path, start="01/01/2016", box=3)
    (tmp_path / "broken.yaml").write_text("- a")
    with pytest.raises(SystemExit) as left:
        main([str(tmp_path)])
    broken, washington = str(left.value.code).split("\n")
    assert "broken.yaml: expected keys and values" in broken
    assert "box: " in washington
    assert "start: write the date as YYYY-MM-DD" in washington


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


@pytest.mark.parametrize("other", ["atlantis", "washington_dc"])
def test_a_city_starts_at_the_models_of_another_known_one(tmp_path: Path, other: str) -> None:
    city = yaml.safe_dump({**GOOD, "name": "georgetown", "pretrained": "washington_dc"})
    (tmp_path / "georgetown.yaml").write_text(city)
    write(tmp_path)
    assert load_cities(tmp_path)["georgetown"].pretrained == "washington_dc"
    write(tmp_path, pretrained=other)
    with pytest.raises(CityFileError, match=rf"washington_dc\.yaml: pretrained: .*'{other}'; .* describe: georgetown"):
        load_cities(tmp_path)


def test_unknown_city_lists_the_known_ones() -> None:
    with pytest.raises(UnknownCityError, match="simulated_city"):
        find_city(load_cities(), "atlantis")
