"""Runs of a city's assets in this process."""

import os
import socket
import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import click
import dagster as dg

from shotspotter_assets.commands.lost_runs import PROCESS_TAG, process_address
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.defs.requested_runs import job_name
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.catalogue import Asset


class Launch(NamedTuple):
    """One run of assets of a city, with the tags of its partitions and config by asset."""

    title: str
    city: str
    assets: Sequence[Asset]
    tags: Mapping[str, str] = {}
    config: Mapping[str, Mapping[str, Any]] = {}


@cache
def _definitions() -> dg.Definitions:
    return build_definitions(Settings.from_environment(os.environ))


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its ended subprocesses."""
    return sum(os.times()[:4])


def run_launch(launch: Launch) -> list[str]:
    """Run a launch in the instance of DAGSTER_HOME, print its seconds, and return a line for each check that warns."""
    started = time.monotonic()
    before = cpu_seconds()
    selection = [dg.AssetKey([launch.city, str(asset)]) for asset in launch.assets]
    job = _definitions().resolve_job_def(job_name(launch.city, launch.assets))
    ops = {f"{launch.city}__{asset}": {"config": values} for asset, values in launch.config.items()}
    config = {"ops": ops, "loggers": {"console": {"config": {"log_level": "WARNING"}}}}
    # The system closes the socket of a killed process, and so its run is found to be lost.
    with dg.DagsterInstance.get() as instance, socket.create_server(("127.0.0.1", 0)) as process:
        tags = {**launch.tags, PROCESS_TAG: process_address(process)}
        result = job.execute_in_process(run_config=config, instance=instance, asset_selection=selection, tags=tags)
    click.echo(f"{launch.title}: {time.monotonic() - started:.0f} s, {cpu_seconds() - before:.0f} CPU seconds")
    failed = [check for check in result.get_asset_check_evaluations() if not check.passed]
    return [f"{check.check_name} of {check.asset_key.to_user_string()}: {check.description}" for check in failed]
