"""Runs that have failed and are about to be retried count as under way, and no others that have ended."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from shotspotter_assets.defs.automation.under_way import RETRIED_AS, UnderWay
from shotspotter_assets_tests.defs.chain import DEFINITIONS

KEY = "tiny_city|2024-01-20"
GRID = dg.AssetKey("grid_tensors")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    settings = {"run_retries": {"enabled": True, "max_retries": 1}}
    with dg.instance_for_test(temp_dir=str(tmp_path), overrides=settings) as instance:
        yield instance


def start(instance: dg.DagsterInstance, retry_of: str | None = None, **tags: str) -> str:
    """A run of one day of the grid that is under way."""
    job = DEFINITIONS.resolve_implicit_global_asset_job_def().get_subset(asset_selection={GRID})
    run = instance.create_run_for_job(
        job,
        tags={"dagster/partition": KEY, **({"dagster/root_run_id": retry_of} if retry_of else {}), **tags},
        asset_selection=frozenset({GRID}),
        status=dg.DagsterRunStatus.STARTED,
        parent_run_id=retry_of,
        root_run_id=retry_of,
    )
    return run.run_id


def fail(instance: dg.DagsterInstance, run_id: str) -> None:
    """The process of a run is gone."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.report_run_failed(run)


def test_a_failed_run_is_under_way_until_its_retry_has_ended(instance: dg.DagsterInstance) -> None:
    first = start(instance)
    fail(instance, first)
    assert UnderWay.of(instance).keys(GRID) == {KEY}
    retry = start(instance, first)
    instance.add_run_tags(first, {RETRIED_AS: retry})
    assert UnderWay.of(instance).keys(GRID) == {KEY}
    fail(instance, retry)
    assert UnderWay.of(instance).keys(GRID) == set()


def test_a_failed_run_that_is_not_retried_is_not_under_way(instance: dg.DagsterInstance) -> None:
    fail(instance, start(instance, **{"dagster/max_retries": "0"}))
    assert UnderWay.of(instance).keys(GRID) == set()


def test_without_retries_a_failed_run_is_not_under_way(tmp_path: Path) -> None:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        fail(instance, start(instance))
        assert UnderWay.of(instance).keys(GRID) == set()
