"""Backfills of four cities, as from the UI, and what they leave on several machines and on one."""

import os
import time
import warnings
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.execution.backfill import PartitionBackfill

from shotspotter_assets.cities.registry import load_cities
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.partitions import key_of, range_tags
from shotspotter_assets.settings import Settings
from shotspotter_assets_tests.defs.chain import DAILY
from shotspotter_assets_tests.s3_server import S3Server

CITIES = [f"town_{letter}" for letter in "abcd"]
FIRST, DAYS = date(2023, 7, 1), 10
LAST = FIRST + timedelta(days=DAYS - 1)


def launch(instance: dg.DagsterInstance, files: Path) -> None:
    """A backfill of each city, as from the UI."""
    graph = build_definitions(Settings(load_cities(files), "store", "landing")).resolve_asset_graph()
    for name in CITIES:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "Function `AssetSelection.sources`", DeprecationWarning
            )  # Dagster's own use
            backfill = PartitionBackfill.from_asset_partitions(
                backfill_id=name, asset_graph=graph, backfill_timestamp=time.time(), tags={}, all_partitions=False,
                partition_names=[key_of(name, FIRST + timedelta(days=at)) for at in range(DAYS)],
                asset_selection=[dg.AssetKey(asset) for asset in DAILY], dynamic_partitions_store=instance, title=None,
                description=None, run_config=None,
            )  # fmt: skip
        instance.add_backfill(backfill)


def all_made(instance: dg.DagsterInstance) -> bool:
    runs = instance.get_runs()
    made = {run.tags["dagster/asset_partition_range_start"] for run in runs if run.is_success}
    return len(made) == len(CITIES) and all(run.is_finished for run in runs)


def objects(server: S3Server, root: str) -> dict[str, bytes]:
    """All that the assets have stored on S3, by path."""
    bucket, prefix = root.removeprefix("s3://").split("/", 1)
    client = server.client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return {
        key.removeprefix(f"{prefix}/"): client.get_object(Bucket=bucket, Key=key)["Body"].read()
        for key in keys
        if key.removeprefix(f"{prefix}/").startswith(DAILY)
    }


def on_one_machine(root: Path) -> dict[str, bytes]:
    """The same, made in this process on a local folder."""
    cities = load_cities(Path(os.environ["SHOTSPOTTER_CITIES"]))
    definitions = build_definitions(Settings(cities, str(root), "landing"))
    job = definitions.resolve_implicit_global_asset_job_def()
    subset = job.get_subset(asset_selection={dg.AssetKey(asset) for asset in DAILY})
    with dg.DagsterInstance.ephemeral() as instance:
        for name in CITIES:
            assert subset.execute_in_process(instance=instance, tags=range_tags(name, FIRST, LAST)).success
    paths = [path for path in root.rglob("*") if path.is_file()]
    found = {str(path.relative_to(root)): path.read_bytes() for path in paths}
    return {name: content for name, content in found.items() if name.startswith(DAILY)}
