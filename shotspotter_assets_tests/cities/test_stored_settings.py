from contextlib import nullcontext
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest

from shotspotter_assets.cities.stored_settings import SETTINGS, Asset, refuse_other_settings, settings_hash
from shotspotter_assets.city_files import CityFile, load_city
from shotspotter_assets.cleaning.alerts import clean_alerts
from shotspotter_assets.gridding.tensors import grid_schema
from shotspotter_assets.sources.schema import RAW_SCHEMA
from shotspotter_assets.storage.store import gather_metadata
from shotspotter_assets_tests.conftest import TEST_CITIES

CITY = load_city(TEST_CITIES / "landing_city.yaml")
DAYS = [date(2024, 3, day) for day in (1, 2, 3)]


def stored(asset: Asset) -> list[Any]:
    rows = [
        {"date": day, "time_utc": datetime(2024, 3, day.day, 12, tzinfo=UTC), "longitude": -76.5, "latitude": 38.5}
        for day in DAYS
    ]
    raw = pa.Table.from_pylist(rows, RAW_SCHEMA)
    tables = {
        "raw_alerts": dict.fromkeys(DAYS, raw.replace_schema_metadata({SETTINGS: settings_hash(CITY, "raw_alerts")})),
        "cleaned_alerts": {day: cleaned.alerts for day, cleaned in clean_alerts(raw, DAYS, CITY).items()},
        "grid_tensors": dict.fromkeys(DAYS, grid_schema(24, CITY).empty_table()),
    }
    return [table.schema.metadata for table in tables[asset].values()]


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
    assets: tuple[Asset, ...] = ("raw_alerts", "cleaned_alerts", "grid_tensors")
    for asset in assets:
        metadata = gather_metadata(DAYS, stored(asset))
        refuse_other_settings(metadata, DAYS, CITY, asset)
        with pytest.raises(ValueError, match=f"{asset} of 3 days") if asset[0] in stale else nullcontext():
            refuse_other_settings(metadata, DAYS, city, asset)


@pytest.mark.parametrize("asset", ["raw_alerts", "cleaned_alerts", "grid_tensors"])
def test_the_refusal_names_the_days_and_the_command_that_rebuilds_them(asset: Asset) -> None:
    metadata = gather_metadata(DAYS, [*stored(asset)[:1], *[{SETTINGS.encode(): b"other"}] * 2])
    with pytest.raises(ValueError, match=f"landing_city: {asset} of 2 days, 2024-03-02 to 2024-03-03") as refused:
        refuse_other_settings(metadata, DAYS, CITY, asset)
    selection = "landing_city/raw_alerts,landing_city/cleaned_alerts,landing_city/grid_tensors"
    assert f"dg launch --assets {selection} --partition-range 2024-03-02...2024-03-03" in str(refused.value)
