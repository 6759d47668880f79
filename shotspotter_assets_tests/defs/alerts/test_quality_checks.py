"""The checks of the data as runs: on ranges and single days, with history, spoiled files, and late cities."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.defs.alerts import alert_checks as checks
from shotspotter_assets.defs.alerts.alert_checks import (
    cleaned_schema,
    data_quality,
    late_cities,
    raw_schema,
    rejected_schema,
)
from shotspotter_assets.defs.alerts.raw_alerts import cleaned_alerts, raw_alerts
from shotspotter_assets.defs.environment import PARTITIONS
from shotspotter_assets.defs.partition_keys import RANGE_END, RANGE_START
from shotspotter_assets.quality.finding import CHECKS
from shotspotter_assets.storage.store import Partition, Store
from shotspotter_assets_tests.defs.chain import resources

ALL = [raw_alerts, cleaned_alerts, raw_schema, cleaned_schema, rejected_schema, data_quality, late_cities]


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path / "instance")) as instance:
        yield instance


def run(
    first: str, last: str, on: dict[str, Any], instance: dg.DagsterInstance, only: dg.AssetSelection | None = None
) -> dict[str, dg.AssetCheckEvaluation]:
    tags = {RANGE_START: f"tiny_city|{first}", RANGE_END: f"tiny_city|{last}"}
    done = dg.materialize(ALL, resources=on, instance=instance, tags=tags, raise_on_error=False, selection=only)
    return {check.check_name: check for check in done.get_asset_check_evaluations()}


def test_every_check_runs_on_a_range_and_on_a_day_after_it(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    on = resources(str(tmp_path / "store"))
    names = {*CHECKS, "raw_schema", "cleaned_schema", "rejected_schema", "late_cities"}
    found = run("2023-07-08", "2023-10-20", on, instance)
    assert set(found) == names
    assert all(check.passed for check in found.values()), {n: c.description for n, c in found.items() if not c.passed}
    assert found["unusual_days"].description.startswith("tiny_city: ")
    of_range = found["unusual_days"].metadata["judged_days"].value
    assert 0 < of_range < 105
    # The day alone is judged, by the days that are stored before it.
    found = run("2023-10-21", "2023-10-21", on, instance)
    assert set(found) == names
    assert found["unusual_days"].metadata["judged_days"].value == 1
    assert found["cleaned_schema"].severity == dg.AssetCheckSeverity.ERROR
    assert found["clock"].severity == dg.AssetCheckSeverity.WARN


def test_spoiled_files_are_found_and_their_partitions_named(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    on, store = resources(str(tmp_path / "store")), Store(str(tmp_path / "store"))
    run("2023-08-01", "2023-11-30", on, instance, dg.AssetSelection.assets(raw_alerts, cleaned_alerts).without_checks())
    partition = Partition("cleaned_alerts", "tiny_city", "date", date(2023, 11, 20))
    alerts = store.read_table(partition, "alerts.parquet")
    moved = alerts.set_column(
        alerts.schema.get_field_index("longitude"),
        alerts.schema.field("longitude"),
        pa.array(np.full(alerts.num_rows, 5.0)),
    )
    store.write_table(partition, "alerts.parquet", moved)
    found = run("2023-11-01", "2023-11-30", on, instance, dg.AssetSelection.checks(cleaned_schema))
    assert not found["cleaned_schema"].passed
    assert "materialise cleaned_alerts again for 2023-11-20" in found["cleaned_schema"].description
    assert found["cleaned_schema"].metadata["partitions"].value == {"tiny_city|2023-11-20": float(alerts.num_rows)}

    store.write_table(partition, "alerts.parquet", alerts)
    for day in range(10, 18):
        silent = Partition("cleaned_alerts", "tiny_city", "date", date(2023, 11, day))
        store.write_table(silent, "alerts.parquet", alerts[:0])
    found = run("2023-11-01", "2023-11-30", on, instance, dg.AssetSelection.checks(data_quality))
    assert not found["silent_days"].passed
    assert "2023-11-10 to 2023-11-17 (8 days)" in found["silent_days"].description
    assert found["silent_days"].metadata["partitions"].value["tiny_city|2023-11-10"] == 0


def test_a_late_city_is_named(tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    on = resources(str(tmp_path / "store"))

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2023, 12, 10, 12, tzinfo=UTC)

    assert run("2023-07-20", "2023-11-30", on, instance, dg.AssetSelection.assets(raw_alerts))["late_cities"].passed
    monkeypatch.setattr(checks, "datetime", Clock)
    [found] = run("2023-11-30", "2023-11-30", on, instance, dg.AssetSelection.checks(late_cities)).values()
    assert not found.passed
    assert found.description.startswith("Late: tiny_city (9 days")
    assert found.metadata["days_late_tiny_city"].value == 9


def test_the_checks_declare_the_partitions() -> None:
    for definition in (raw_schema, cleaned_schema, rejected_schema, data_quality, late_cities):
        assert all(spec.partitions_def == PARTITIONS.city_date for spec in definition.check_specs)
    blocking = {spec.name for part in (raw_schema, cleaned_schema, rejected_schema) for spec in part.check_specs}
    assert all(spec.blocking for part in (raw_schema, cleaned_schema, rejected_schema) for spec in part.check_specs)
    assert blocking == {"raw_schema", "cleaned_schema", "rejected_schema"}
    assert not any(spec.blocking for spec in data_quality.check_specs)
