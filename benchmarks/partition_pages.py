"""Seconds that pages about the partitions of 200 cities over ten years take: `partition_pages.py [--cities 200] [--days 3651]`.

Such an installation is recorded in a PostgreSQL server of its own. The pages themselves are opened in Chromium, until they
show their numbers, on a web server and a code server of their own; no daemon has looked before. Then a process is asked what the
web server is asked by the page of all assets (`AssetGraphLiveQuery`), by an asset's page of partitions and the dialog of a backfill
(`PartitionHealthQuery`, for each asset), and by the dialog of unsynced assets (`AssetStaleStatusQuery`). At the first answer the
database has no status of the partitions, as after a new city; mostly the daemon's next tick has made it before. CPU seconds are
without those of the database and the browser.
"""

import argparse
import contextlib
import math
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import dagster as dg
import dagster_webserver  # noqa: F401  # what is patched in the web server is patched where it is loaded
import psutil
import requests
from sensor_ticks import (
    DAILY,
    ROOT,
    TODAY,
    Timer,
    api_source,
    describe,
    names_of,
    postgres_home,
    record_years,
    report,
    show_memory,
)
from shotspotter_assets.rehearsal.processes import Installation, free_port

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
RELOAD: Final = "mutation($name: String!) { reloadRepositoryLocation(repositoryLocationName: $name) { __typename } }"
HAS_NUMBERS: Final = f"""() => {{ const text = document.body.innerText;
  return text.includes('{DAILY[0]}') && /[0-9] partitions/.test(text) && !text.includes('- partitions') }}"""
UNSYNCED: Final = f"""query($assetKeys: [AssetKeyInput!]!) {{ assetNodes(assetKeys: $assetKeys) {{
  id assetKey {{ path }} isMaterializable staleStatus {STATISTICS} }} }}"""


def main() -> None:
    """Record, ask and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cities", type=int, default=200)
    parser.add_argument("--days", type=int, default=3_651)
    parser.add_argument("--only", choices=("pages", "queries"))
    parser.add_argument("--pictures", type=Path, help="folder for a picture of each page as it counts as shown")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, names = Path(name), names_of(asked.cities)
        (folder / "home").mkdir()
        shutil.copy(ROOT / ".dagster_home" / "dagster.yaml", folder / "home")
        describe(folder, names, lambda _: api_source("http://127.0.0.1:9"), TODAY - timedelta(days=asked.days))
        os.environ |= {
            "SHOTSPOTTER_CITIES": str(folder / "cities"), "SHOTSPOTTER_STORE": str(folder / "store"),
            "SHOTSPOTTER_LANDING": str(folder / "landing"),
        }  # fmt: skip
        with contextlib.ExitStack() as stack:
            stack.enter_context(postgres_home(folder / "home"))
            os.environ["DAGSTER_HOME"] = str(folder / "home")
            instance = stack.enter_context(dg.DagsterInstance.get())
            record_years(instance, names, asked.days, TODAY - timedelta(days=1))
            if asked.only != "queries":
                open_pages(folder, instance, names, asked.days, asked.pictures)
                forget_statuses(instance)
            if asked.only != "pages":
                measure(instance, names[0])
                show_memory()


class Servers(Installation):
    """The web server alone, which starts the code server itself."""

    def start(self) -> None:
        """Start it."""
        self.process = self._start("dagster-webserver", "--host", "127.0.0.1", "--port", str(self._port))

    def cpu_seconds(self) -> float:
        """Of the servers that run, with those of their children that have ended."""
        server = psutil.Process(self.process.pid)
        total = 0.0
        for process in (server, *server.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:4])
        return total

    def reload(self) -> None:
        """Reload the definitions, as the UI does."""
        asked = {"query": RELOAD, "variables": {"name": "shotspotter_assets"}}
        answer = requests.post(f"{self.url}/graphql", json=asked, timeout=600).json()
        assert answer["data"]["reloadRepositoryLocation"]["__typename"] == "WorkspaceLocationEntry", answer


def open_pages(folder: Path, instance: dg.DagsterInstance, names: list[str], days: int, pictures: Path | None) -> None:
    """Open the pages in Chromium, and print what each took until its numbers were there."""
    sys.path.insert(0, str(ROOT))
    from shotspotter_assets_tests.pages.browser import open_browser

    asset, recorded, environment = DAILY[0], len(names) * days, dict(os.environ)
    del os.environ["DAGSTER_HOME"]  # by which the servers' processes are found
    with open_browser() as browser, Servers(folder, environment, free_port()) as servers:
        page = browser.new_page(viewport={"width": 1600, "height": 1000})

        def show(text: str, address: str, shown: Callable[[], Any]) -> None:
            began, used = time.perf_counter(), servers.cpu_seconds()
            page.goto(f"{servers.url}{address}")
            shown()
            wall, used = time.perf_counter() - began, servers.cpu_seconds() - used
            print(f"page of {text:<60} {wall:6.2f} s ({used:6.2f} of CPU of the servers)", flush=True)
            if pictures is not None:
                page.screenshot(path=pictures / f"{text.replace(' ', '_').replace(',', '')}.png")

        def all_assets(text: str) -> None:
            show(f"all assets, {text}", "/assets", lambda: page.wait_for_function(HAS_NUMBERS, timeout=600_000))

        def partitions(text: str) -> None:
            made = page.get_by_text(re.compile(rf"Materialized \({recorded:,}\)|Materialized \({recorded}\)"))
            show(
                f"the partitions of one asset, {text}",
                f"/assets/{asset}?view=partitions",
                lambda: made.wait_for(timeout=600_000),
            )

        all_assets("no status in the database")
        partitions("first")
        all_assets("again")
        partitions("again")
        report(instance, asset, [f"{names[0]}|{TODAY - timedelta(days=1)}"], "corrected")
        all_assets("after a corrected day")
        report(instance, asset, [f"{names[0]}|{TODAY - timedelta(days=2)}"], "corrected")
        partitions("after a corrected day")
        city = folder / "cities" / f"{names[0]}.yaml"
        city.with_name("new_city.yaml").write_text(city.read_text().replace(names[0], "new_city"))
        servers.reload()
        all_assets("after a new city")
        partitions("after a new city")
        city.with_name("newer_city.yaml").write_text(city.read_text().replace(names[0], "newer_city"))
        servers.reload()
        partitions("after another new city")
    os.environ["DAGSTER_HOME"] = environment["DAGSTER_HOME"]


def forget_statuses(instance: dg.DagsterInstance) -> None:
    """Let the database have no status of the partitions again."""
    for asset in DAILY:
        instance.event_log_storage.wipe_asset_cached_status(dg.AssetKey(asset))


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
