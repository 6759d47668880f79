import csv
import json
from dataclasses import replace
from io import StringIO

import jsonschema
import pytest

from docs.data_dictionary import dictionary
from shotspotter_assets.evaluation.gate import NOT_TESTED
from shotspotter_assets.forecasts.daily_forecast import withheld
from shotspotter_assets.forecasts.issued_forecasts import load_record, write_forecast
from shotspotter_assets.forecasts.patrol.dispatch import read_plan
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.pages.addresses import SCHEMA_VERSION, Status
from shotspotter_assets.pages.site import make_pages
from shotspotter_assets.storage.catalogue import (
    FORECAST_MAP,
    PLAN,
    PLAN_CSV,
    PLAN_MAP,
    PUBLISHED,
    STATUS,
    TOP_LOCATIONS,
    TOP_STREETS,
)
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.pages.site_of_tiny_city import CITY, TinySite

STREETS_CSV = PUBLISHED[TOP_STREETS]
OTHERS = (FORECAST_MAP, PLAN_CSV, PLAN_MAP, STREETS_CSV)


def test_the_status_names_the_forecast_and_its_files(tiny_site: TinySite) -> None:
    status = json.loads(tiny_site.store.read_bytes(STATUS, CITY))
    jsonschema.validate(status, Status.model_json_schema())
    record = load_record(tiny_site.store, CITY, tiny_site.last_issued)
    assert status["files"] == [file.file for file in OTHERS]
    assert (status["version"], status["forecast_date"]) == (record.version, str(record.forecast_date))
    assert status["no_forecast"] == ""
    assert status["verdict"] == NOT_TESTED
    plan, _ = read_plan(tiny_site.store, CITY, tiny_site.last_issued)
    assert status["ends"] == max(plan["ends_at"].to_pylist())  # a night ends after the forecast date


@pytest.mark.parametrize("file", [FORECAST_MAP, PLAN_MAP])
def test_maps_state_schema_and_date(tiny_site: TinySite, file: str) -> None:
    found = json.loads(tiny_site.store.read_bytes(file, CITY))
    assert (found["type"], found["schema_version"], found["city"]) == ("FeatureCollection", SCHEMA_VERSION, CITY)
    record = load_record(tiny_site.store, CITY, tiny_site.last_issued)
    assert found["forecast_date"] == str(record.forecast_date)
    assert found["features"]


@pytest.mark.parametrize(
    ("file", "columns"), [(PLAN_CSV, [*PLAN.columns, "place"]), (STREETS_CSV, [*TOP_STREETS.columns])]
)
def test_tables_have_the_documented_columns(tiny_site: TinySite, file: str, columns: list[str]) -> None:
    rows = csv.DictReader(StringIO(tiny_site.store.read_bytes(file, CITY).decode()))
    assert sorted(rows.fieldnames) == sorted(columns)
    assert next(rows)


def test_a_table_is_published_by_its_declaration(
    copy: Store, tiny_site: TinySite, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = replace(STREETS_CSV, file="locations.csv")
    monkeypatch.setitem(PUBLISHED, TOP_LOCATIONS, file)
    make_pages(copy, tiny_site.city)
    assert json.loads(copy.read_bytes(STATUS, CITY))["files"] == [other.file for other in (*OTHERS, file)]
    assert copy.read_bytes(file, CITY).decode().startswith("rank,row,column,")


def test_each_placed_unit_has_a_row_and_a_shape_with_its_place(tiny_site: TinySite) -> None:
    table, _ = read_plan(tiny_site.store, CITY, tiny_site.last_issued)
    rows = list(csv.DictReader(StringIO(tiny_site.store.read_bytes(PLAN_CSV, CITY).decode())))
    assert all(" St" in row["place"] and "ward" in row["place"] for row in rows)
    assert len(rows) == len(json.loads(tiny_site.store.read_bytes(PLAN_MAP, CITY))["features"]) == len(table) > 0


def test_every_field_of_the_status_is_in_the_data_dictionary() -> None:
    described = dictionary().partition(f"**`{STATUS.file}`**")[2].partition("**`")[0]
    assert [name for name in Status.model_fields if f"`{name}`" not in described] == []


def test_files_of_other_streets_or_another_forecast_are_left_out(copy: Store, tiny_site: TinySite) -> None:
    make_pages(copy, tiny_site.city.model_copy(update={"streets": None}))
    assert [copy.exists(file, CITY) for file in OTHERS] == [True, True, True, False]
    record = load_record(copy, CITY, tiny_site.last_issued)
    record.model_copy(update={"version": "another"}).write(copy)
    make_pages(copy, tiny_site.city)
    assert json.loads(copy.read_bytes(STATUS, CITY))["files"] == [FORECAST_MAP.file]
    assert [copy.exists(file, CITY) for file in OTHERS] == [True, False, False, False]


def test_without_a_forecast_only_the_status_remains(copy: Store, tiny_site: TinySite) -> None:
    history = CityHistory.load(copy, tiny_site.city, tiny_site.last_issued)
    write_forecast(copy, withheld(copy, history, "The source is silent."))
    make_pages(copy, tiny_site.city)
    status = json.loads(copy.read_bytes(STATUS, CITY))
    jsonschema.validate(status, Status.model_json_schema())
    assert (status["no_forecast"], status["files"]) == ("No forecast is issued. The source is silent.", [])
    assert not any(copy.exists(file, CITY) for file in OTHERS)
