from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from shotspotter_assets.cities.city import City
from shotspotter_assets.definitions import city_assets
from shotspotter_assets.defs.materialize import table_of_partition
from shotspotter_assets.storage.catalogue import STREETS, Asset
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import CITIES, DAILY, metadata_of, resources, run_days, with_city

TINY = CITIES["tiny_city"]


def changed(**values: Any) -> City:
    return City.model_validate(dict(TINY) | values)


def specs_of(city: City) -> dict[str, dg.AssetSpec]:
    return {spec.key.path[-1]: spec for assets in city_assets(city).assets for spec in assets.specs}


def test_each_asset_names_the_function_that_makes_it() -> None:
    for name, spec in specs_of(TINY).items():
        [reference] = spec.metadata["dagster/code_references"].code_references
        lines = Path(reference.file_path).read_text().splitlines()[reference.line_number - 1 :]
        first = next(line for line in lines if line.strip().startswith("def "))
        assert f"def {name}(" in first or ("def " in first and Path(reference.file_path).stem == name), (name, first)


def test_owner_tags_and_table_name_follow_the_city_file() -> None:
    city = changed(contact="team:analysts", event_types={"theft": ["T"]}, targets={"a": ["gunshots"], "b": ["theft"]})
    specs = specs_of(city)
    assert {owner for spec in specs.values() for owner in spec.owners} == {"team:analysts"}
    tags = {name: {key for key in spec.tags if key.startswith("target/")} for name, spec in specs.items()}
    assert (tags["risk_forecasts"], tags["cleaned_alerts"]) == ({"target/a", "target/b"}, set())
    assert specs["patrol_plans"].tags["shotspotter/partitions"] == "issue_dates"
    assert {spec.tags["shotspotter/city"] for spec in specs.values()} == {"tiny_city"}
    assert specs["risk_forecasts"].metadata["dagster/table_name"] == "tiny_city.risk_forecasts"
    assert not any(spec.owners for spec in specs_of(TINY).values())


def test_each_asset_of_a_city_names_its_folder_in_the_store(tmp_path: Path) -> None:
    on_s3 = resources("s3://bucket/alerts/", cities=with_city("tiny_city")).definitions
    addresses = {spec.key.path[-1]: spec.metadata.get("dagster/uri") for spec in on_s3.resolve_all_asset_specs()}
    assert addresses.pop("shared_models") is None
    assert set(addresses.values()) == {f"s3://bucket/alerts/{name}/city=tiny_city" for name in addresses}
    local = resources(str(tmp_path), cities=with_city("tiny_city", end=date(2024, 5, 31))).definitions
    stored = Store(str(tmp_path)).uri(STREETS, "tiny_city", date(2024, 1, 1))
    [spec] = [spec for spec in local.resolve_all_asset_specs() if spec.key.path[-1] == Asset.STREET_RISK]
    assert stored.startswith(spec.metadata["dagster/uri"] + "/")


def test_products_of_automated_cities_have_a_deadline_in_their_zone() -> None:
    city = changed(time_zone="America/Chicago", box=TINY.box)
    policies = {name: spec.freshness_policy for name, spec in specs_of(city).items() if spec.freshness_policy}
    assert policies.keys() == {Asset.RISK_FORECASTS, Asset.PATROL_PLANS, Asset.CITY_PAGES}
    assert set(policies.values()) == {dg.FreshnessPolicy.cron("0 14 * * *", timedelta(hours=2), "America/Chicago")}
    without = (changed(automation="manual"), changed(end=date(2024, 6, 1)))
    assert not any(spec.freshness_policy for ended in without for spec in specs_of(ended).values())


@pytest.mark.parametrize("contact", ["analysts", "team:", "a@b", "a b@example.org", ".a@example.org"])
def test_contact_that_dagster_refuses_is_refused_in_the_city_file(contact: str) -> None:
    with pytest.raises(ValidationError, match=contact):
        changed(contact=contact)


@pytest.mark.parametrize("contact", ["team:night shift", "first.last+alerts@police.example.org", "_a@example.museum"])
def test_contact_of_the_city_file_is_an_owner_in_dagster(contact: str) -> None:
    assert dg.AssetSpec("any", owners=[changed(contact=contact).contact])


def test_days_state_address_and_rows_of_their_tables(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    result = run_days(
        "tiny_city", "2023-07-01", "2023-07-02", resources(str(tmp_path), cities=with_city("tiny_city")), instance
    )
    panels = metadata_of(result)
    assert panels.keys() == {(name, day) for name in DAILY for day in ("2023-07-01", "2023-07-02")}
    for panel in panels.values():
        rows = pq.read_metadata(panel["dagster/uri"].value).num_rows
        assert panel["dagster/partition_row_count"].value == rows


def test_rows_of_all_targets_are_counted_with_the_address_of_the_main_one(tmp_path: Path) -> None:
    city = changed(event_types={"theft": ["T"]}, targets={"a": ["gunshots"], "b": ["theft"]})
    store = Store(str(tmp_path))
    day = date(2024, 1, 1)
    assert table_of_partition(store, city, STREETS, day) == {}
    for target, rows in (("a", 2), ("b", 3)):
        table = pa.table({name: pa.nulls(rows, STREETS.schema.field(name).type) for name in STREETS.own_columns})
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        store.of(target).write_bytes(STREETS, sink.getvalue().to_pybytes(), city.name, day)
    facts = table_of_partition(store, city, STREETS, day)
    assert facts == {"dagster/uri": store.of("a").uri(STREETS, city.name, day), "dagster/partition_row_count": 5}
