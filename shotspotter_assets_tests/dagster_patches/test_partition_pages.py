"""The pages of partitions are laid out as by Dagster, without an object for each key."""

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import dagster_graphql.schema  # noqa: F401  # first, as its modules import each other
import pytest
from dagster._core.definitions.partitions.utils import MultiPartitionKey
from dagster_graphql.implementation import fetch_asset_checks, fetch_assets
from dagster_graphql.implementation.fetch_assets import PartitionRangeStatus

from shotspotter_assets.dagster_patches import partition_pages

CITY = dg.StaticPartitionsDefinition(["b", "a", "c"])
WITH_DAYS = dg.MultiPartitionsDefinition(
    {"city": CITY, "date": dg.DailyPartitionsDefinition("2024-01-01", "2024-03-01")}
)
WITHOUT_DAYS = dg.MultiPartitionsDefinition({"city": CITY, "size": dg.StaticPartitionsDefinition(["small", "large"])})


@pytest.fixture(autouse=True)
def patched(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (fetch_assets, fetch_asset_checks):  # to be as they were afterwards
        monkeypatch.setattr(module, "build_multi_partition_ranges_generic", partition_pages.STOCK)
    partition_pages.apply()


@pytest.mark.parametrize("partitions", [WITH_DAYS, WITHOUT_DAYS])
def test_ranges_are_those_of_dagster(partitions: dg.MultiPartitionsDefinition) -> None:
    chosen = random.Random(1)
    keys = partitions.get_partition_keys()
    subsets = {
        status: partitions.empty_subset().with_partition_keys([*chosen.sample(keys, k=len(keys) * share // 4), "gone"])
        for status, share in zip(PartitionRangeStatus, (3, 1, 0), strict=True)
    }
    with dg.DagsterInstance.ephemeral() as instance:
        stock = partition_pages.STOCK(subsets, partitions, instance, dict)
        for module in (fetch_assets, fetch_asset_checks):
            assert module.build_multi_partition_ranges_generic(subsets, partitions, instance, dict) == stock
    assert len(stock) > 1


def test_no_object_is_made_of_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("made")

    subset = WITH_DAYS.empty_subset().with_partition_keys(map(str, WITH_DAYS.get_partition_keys()))
    monkeypatch.setattr(MultiPartitionKey, "__new__", refuse)
    with dg.DagsterInstance.ephemeral() as instance:
        [all_days] = fetch_assets.build_multi_partition_ranges_generic(
            {PartitionRangeStatus.MATERIALIZED: subset}, WITH_DAYS, instance, dict
        )
    assert (all_days.primary_dim_start_key, all_days.primary_dim_end_key) == ("2024-01-01", "2024-02-29")


@pytest.mark.parametrize(("process", "is_patched"), [("dagster_webserver", True), ("dagster", False)])
def test_the_web_server_is_patched(process: str, is_patched: bool, tmp_path: Path) -> None:
    code = f"""
import {process}, sys
import dagster as dg
import dagster_graphql.schema  # noqa: F401  # first, as its modules import each other
import pytest
dg.DagsterInstance.get()
print("shotspotter_assets.dagster_patches.partition_pages" in sys.modules)
"""
    (tmp_path / "dagster.yaml").write_text(
        "instance_class: {module: shotspotter_assets.dagster_patches.instance, class: PatchedInstance}\n"
        "telemetry: {enabled: false}\n"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True,
        env={"DAGSTER_HOME": str(tmp_path), "PATH": "/usr/bin"},
    )  # fmt: skip
    assert ran.stdout.split() == [str(is_patched)]
