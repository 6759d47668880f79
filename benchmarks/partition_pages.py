"""Seconds that pages about the partitions of 200 cities over ten years take: `partition_pages.py [--cities 200] [--days 3651]`.

Such an installation is recorded in a PostgreSQL server of its own, and asked what the web server is asked by the page of all
assets (`AssetGraphLiveQuery`), by an asset's page of partitions and the dialog of a backfill (`PartitionHealthQuery`, for each
asset), and by the dialog of unsynced assets (`AssetStaleStatusQuery`). At the first answer the database has no status of the
partitions, as after a new city; mostly the daemon's next tick has made it before. CPU seconds are without those of the database.
"""

import argparse
import math
import os
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import dagster as dg
import dagster_webserver  # noqa: F401  # what is patched in the web server is patched where it is loaded
from sensor_ticks import (
    DAILY,
    HISTORY,
    ROOT,
    TODAY,
    Timer,
    api_source,
    describe,
    names_of,
    postgres_home,
    report,
    report_years,
    show_memory,
)

STATISTICS: Final = "partitionStats { numMaterialized numMaterializing numPartitions numFailed }"
ALL_ASSETS: Final = f"""query($assetKeys: [AssetKeyInput!]!) {{ assetNodes(assetKeys: $assetKeys, loadMaterializations: true) {{
  id opNames assetMaterializations(limit: 1) {{ timestamp runId }} assetObservations(limit: 1) {{ timestamp runId }}
  assetChecksOrError {{ ... on AssetChecks {{ checks {{ name executionForLatestMaterialization {{ id runId status }} }} }} }}
  {STATISTICS} }}
  assetsLatestInfo(assetKeys: $assetKeys) {{ id unstartedRunIds inProgressRunIds latestRun {{ id status }} }} }}"""
PARTITIONS: Final = """query($assetKey: AssetKeyInput!) { assetNodeOrError(assetKey: $assetKey) { ... on AssetNode {
  id partitionKeysByDimension { name type partitionKeys }
  assetPartitionStatuses { ... on MultiPartitionStatuses { primaryDimensionName ranges {
    primaryDimStartKey primaryDimEndKey primaryDimStartTime primaryDimEndTime
    secondaryDim { ... on DefaultPartitionStatuses {
      materializedPartitions materializingPartitions failedPartitions } } } } } } } }"""
UNSYNCED: Final = f"""query($assetKeys: [AssetKeyInput!]!) {{ assetNodes(assetKeys: $assetKeys) {{
  id assetKey {{ path }} isMaterializable staleStatus {STATISTICS} }} }}"""


def main() -> None:
    """Record, ask and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cities", type=int, default=200)
    parser.add_argument("--days", type=int, default=3_651)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, names = Path(name), names_of(asked.cities)
        (folder / "home").mkdir()
        shutil.copy(ROOT / ".dagster_home" / "dagster.yaml", folder / "home")
        describe(folder, names, lambda _: api_source("http://127.0.0.1:9"), TODAY - timedelta(days=asked.days))
        os.environ |= {
            "DAGSTER_HOME": str(folder / "home"), "SHOTSPOTTER_CITIES": str(folder / "cities"),
            "SHOTSPOTTER_STORE": str(folder / "store"), "SHOTSPOTTER_LANDING": str(folder / "landing"),
        }  # fmt: skip
        with postgres_home(folder / "home"), dg.DagsterInstance.get() as instance:
            fill(instance, names, asked.days)
            measure(instance, names[0])
            show_memory()


def fill(instance: dg.DagsterInstance, names: list[str], recorded: int) -> None:
    """Record all days of what is received and the last ones of what is forecast, and show what that took."""
    timer = Timer()
    for asset in DAILY:
        days = recorded if asset in DAILY[:3] else HISTORY
        report_years(instance, asset, names, [TODAY - timedelta(days=back) for back in range(days, 0, -1)])
    timer.show(f"{len(names)} cities x {recorded:,} days of three assets are recorded", "", limit=math.inf)


def measure(instance: dg.DagsterInstance, city: str) -> None:
    """Ask and print."""
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster_graphql.cli import execute_query

    all_assets = [{"path": [asset]} for asset in DAILY]
    with WorkspaceProcessContext(instance, WorkspaceFileTarget([str(ROOT / "workspace.yaml")])) as context:

        def ask(text: str, query: str, **variables: Any) -> None:
            timer = Timer()
            answer = execute_query(context, query, variables)
            assert "errors" not in answer, answer
            timer.show(text, "", limit=math.inf)

        for time in ("nothing remembered", "again"):
            ask(f"all assets, {time}", ALL_ASSETS, assetKeys=all_assets)
        for time in ("first", "again"):
            ask(f"partitions of one asset, {time}", PARTITIONS, assetKey=all_assets[0])
        ask("what is not in sync", UNSYNCED, assetKeys=all_assets)
        report(instance, DAILY[0], [f"{city}|{TODAY - timedelta(days=1)}"], "corrected")
        ask("all assets, after a corrected day", ALL_ASSETS, assetKeys=all_assets)
        ask("partitions of one asset, after a corrected day", PARTITIONS, assetKey=all_assets[0])


if __name__ == "__main__":
    main()
