"""Which changes of a city's file make which of its stored days stale."""

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.registry import load_city
from shotspotter_assets.cleaning.alerts import clean_alerts
from shotspotter_assets.cleaning.day_settings import (
    SETTINGS,
    ChangedSettingsError,
    changed_settings,
    raw_settings,
    refuse_changed_settings,
    types_by_day,
)
from shotspotter_assets.gridding.tensors import grid_schema
from shotspotter_assets.sources.schema import RAW_SCHEMA
from shotspotter_assets.storage.day_metadata import Metadata, gather_metadata
from shotspotter_assets_tests.conftest import TEST_CITIES

CITY = load_city(TEST_CITIES / "landing_city.yaml")
DAYS = [date(2024, 3, day) for day in (1, 2, 3)]
KINDS = {DAYS[0]: "Single_Gunshot", DAYS[1]: "Bang", DAYS[2]: None}


def changed(**changes: Any) -> City:
    source = CITY.source.model_dump() | changes.pop("source", {})
    return City.model_validate(CITY.model_dump() | {"source": source} | changes)


def stored(asset: str) -> Metadata:
    """What the days of an asset say of the settings that they were made with."""
    rows = [
        {
            "date": day, "time_utc": datetime(2024, 3, day.day, 12, tzinfo=UTC), "longitude": -76.5, "latitude": 38.5,
            "gunshot_type": kind, "received_from": "a.csv", "received_row": day.day,
        }
        for day, kind in KINDS.items()
    ]  # fmt: skip
    cleaned = clean_alerts(pa.Table.from_pylist(rows, RAW_SCHEMA), DAYS, CITY)
    by_asset = {
        "raw_alerts": [{SETTINGS.encode(): raw_settings(CITY).encode()}] * 3,
        "cleaned_alerts": [cleaned[day].alerts.schema.metadata for day in DAYS],
        "grid_tensors": [
            {b"types": cleaned[day].alerts.schema.metadata[b"types"], **(grid_schema(24, CITY).metadata or {})}
            for day in DAYS
        ],
    }
    return gather_metadata(DAYS, by_asset[asset])


@pytest.mark.parametrize(
    ("changes", "says", "stale"),
    [
        ({"time_zone": "America/Chicago"}, "time_zone: America/New_York, now America/Chicago", "rrr ccc ggg"),
        ({"source": {"naive_times": "utc"}}, "source.naive_times: reject, now utc", "rrr ccc ggg"),
        ({"source": {"crs": "EPSG:2248"}}, "source.crs: null, now EPSG:2248", "rrr ccc ggg"),
        ({"box": {"west": -77, "south": 38, "east": -76, "north": 39.5}}, "box: {", "... ccc ggg"),
        ({"gunshot_spellings": {"bang": 0}}, "gunshot_spellings or event_types, 'Bang': null, now 0", "... .c. .g."),
        ({"gunshot_spellings": {"boom": 0}}, "", "... ... ..."),
        ({"gunshot_spellings": {"single gunshot": 2}}, "'Single_Gunshot': 0, now 2", "... c.. g.."),
        ({"grid": {"rows": 5, "columns": 4}}, 'grid: {"rows": 4, "columns": 4}, now {"rows": 5', "... ... ggg"),
        ({"counted": "incidents"}, "counted: alerts, now incidents", "... ... ggg"),
        ({"event_types": {"bang": ["BANG"]}}, "'Bang': null, now 4", "... .c. ggg"),
        ({"event_types": {"robbery": ["R"]}}, "'Bang': null, now other_event", "... .c. ggg"),
        # What does not change the meaning of days.
        ({"source": {"columns": {"time": "at"}, "settle_seconds": 5}, "automation": "manual"}, "", "... ... ..."),
        (
            {"time_precision": "hour", "holidays": "CA", "retraining": "weekly", "max_share_rejected": 0.9},
            "",
            "... ... ...",
        ),
    ],
)
def test_a_changed_setting_makes_exactly_the_days_that_depend_on_it_stale(
    changes: dict[str, Any], says: str, stale: str
) -> None:
    city = changed(**changes)
    for asset, letters in zip(("raw_alerts", "cleaned_alerts", "grid_tensors"), stale.split(), strict=True):
        found = changed_settings(stored(asset), DAYS, city)
        days = {day for of_days in found.values() for day in of_days}
        assert days == {day for day, letter in zip(DAYS, letters, strict=True) if letter != "."}, (asset, found)
        if days:
            assert any(says in change for change in found), found
            with pytest.raises(ChangedSettingsError, match=rf"landing_city: {asset} of {len(days)} days, {min(days)}"):
                refuse_changed_settings(stored(asset), DAYS, city, asset)
        else:
            refuse_changed_settings(stored(asset), DAYS, city, asset)


def test_a_source_that_is_added_leaves_what_came_before() -> None:
    police = {"kind": "landing", "folder": "police", "naive_times": "local", "columns": {"time": "at"}}
    with_police = changed(other_sources=[police])
    assert changed_settings(stored("raw_alerts"), DAYS, with_police) == {}
    metadata = {SETTINGS.encode(): raw_settings(with_police).encode()}
    assert changed_settings(metadata, DAYS, CITY) == {}
    in_utc = changed(other_sources=[police | {"naive_times": "utc"}])
    assert list(changed_settings(metadata, DAYS, in_utc)) == ["other_sources.0.naive_times: local, now utc"]


def test_types_are_those_that_a_day_has() -> None:
    spellings = pa.chunked_array([["SG", None, "x", "SG", "MG", "MG"]])
    assert types_by_day(spellings, np.array([0, 0, 2, 2, 3, -1]), 3, CITY) == [
        '{"SG": 0}',
        "{}",
        '{"SG": 0, "x": null}',
    ]
