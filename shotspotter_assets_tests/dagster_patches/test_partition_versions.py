"""Events of partitions with versions of their own, beside the stock ones."""

import dagster as dg
import pytest
from dagster._core.execution.plan import execute_step

from shotspotter_assets.dagster_patches import partition_versions
from shotspotter_assets.dagster_patches.partition_versions import add_version

DAYS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-04")


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def versioned(context: dg.AssetExecutionContext) -> None:
    for key in context.partition_keys[:2]:
        add_version(context, key, f"version of {key}")


def events(instance: dg.DagsterInstance) -> dict[str, dg.AssetMaterialization]:
    """The materialization of each day by one run over all of them."""
    tags = {
        "dagster/asset_partition_range_start": "2024-01-01",
        "dagster/asset_partition_range_end": "2024-01-03",
    }
    result = dg.materialize([versioned], instance=instance, tags=tags)
    made = [event.materialization for event in result.get_asset_materialization_events()]
    return {str(event.partition): event for event in made}


def test_each_day_has_its_own_version_and_is_else_as_stock(monkeypatch: pytest.MonkeyPatch) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        monkeypatch.setattr(execute_step, "_get_output_asset_events", partition_versions.STOCK)
        stock = events(instance)
        partition_versions.apply()
        ours = events(instance)
    given = {day: event.tags["dagster/data_version"] for day, event in ours.items()}
    assert given["2024-01-01"] == "version of 2024-01-01"
    assert given["2024-01-02"] == "version of 2024-01-02"
    assert len(set(given.values())) == 3
    assert len({event.tags["dagster/data_version"] for event in stock.values()}) == 1
    own = {"dagster/code_version", "dagster/data_version", "dagster/data_version_is_user_provided"}
    for day, event in ours.items():
        assert event.metadata == stock[day].metadata
        assert {name: value for name, value in event.tags.items() if name not in own} == {
            name: value for name, value in stock[day].tags.items() if name not in own
        }
    assert ours["2024-01-01"].tags["dagster/data_version_is_user_provided"] == "true"
    assert "dagster/data_version_is_user_provided" not in ours["2024-01-03"].tags
