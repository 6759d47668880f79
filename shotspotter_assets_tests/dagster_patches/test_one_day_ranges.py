"""The checks of a day that is asked for by a range are filed under that day; those of several days under none."""

from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from shotspotter_assets.dagster_patches import one_day_ranges, planned_checks
from shotspotter_assets.partitions import range_tags
from shotspotter_assets_tests.defs.chain import materialize, resources

CHECK = dg.AssetCheckKey(dg.AssetKey("cleaned_alerts"), "rows_are_conserved")


@pytest.mark.parametrize(
    ("last", "partition"), [("2023-08-01", "tiny_city|2023-08-01"), ("2023-08-02", None)], ids=["one day", "two days"]
)
def test_each_planned_check_has_its_result(last: str, partition: str | None, tmp_path: Path) -> None:
    one_day_ranges.apply()
    planned_checks.apply()
    assets, on = ("raw_alerts", "cleaned_alerts"), resources(str(tmp_path))
    tags = range_tags("tiny_city", date(2023, 8, 1), date.fromisoformat(last))
    with dg.DagsterInstance.ephemeral() as instance:
        materialize(assets, on, checks=[CHECK.name], instance=instance, tags=tags)
        history = instance.event_log_storage.get_asset_check_execution_history(CHECK, limit=5)
    assert [(record.partition, record.status.value) for record in history] == [(partition, "SUCCEEDED")]
