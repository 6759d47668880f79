import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.patrol_rules import PatrolRules, Repeats, Shift
from shotspotter_assets.city_files import CityFile, load_city
from shotspotter_assets.geometry.shapes import polygon_feature, read_areas
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
    assert city(**NOW, nowcasts={"every_seconds": 30}).nowcasts is not None
    assert city(patrol=PATROL).patrol == PatrolRules(
        shifts=(Shift(name="day", start=6, end=18, units=4), Shift(name="night", start=18, end=6, units=6)),
        shares=(0.5, 0.2),
        repeats=Repeats(most=3, days=7),
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (NOW | {"nowcasts": {"every_seconds": 29}}, "greater than or equal to 30"),
        ({"retraining": "hourly"}, r"retraining: hourly needs nowcasts \(allowed: daily, weekly\)"),
        ({"nowcasts": {}}, r"write publication: \{days_late: 0\}"),
        (NOW | {"nowcasts": {}, "time_precision": "hour"}, "needs times of alerts to the second"),
        ({"publication": {"every": "week", "period_days": 7}}, "either every or period_days"),
        ({"end": "2001-01-01"}, "must not be before start"),
        ({"holidays": "Atlantis"}, "no country with a calendar"),
        ({"event_types": {"Robbery": []}}, "should match pattern"),
        ({"event_types": {"robbery": ["Theft"], "theft": ["theft"]}}, "a spelling under two names"),
        ({"forecast": ["robbery"]}, "forecast must name event_types"),
        ({"other_sources": [{"kind": "simulated"}]}, "cannot be simulated"),
        ({"other_sources": [LANDING["source"]]}, "two landing sources share a folder"),
        ({"patrol": PATROL | {"shares": [0.2, 0.5]}}, "never rise"),
        ({"patrol": PATROL | {"shares": [0.9, 0.2]}}, "patrol.shares"),
        ({"patrol": PATROL | {"shifts": [PATROL["shifts"][0] | {"end": 6}]}}, "patrol.shifts"),
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
        assert coverage is not None
        assert [name for name, _ in read_areas(coverage.file, coverage.name_property, coverage.areas)] == ["West"]
