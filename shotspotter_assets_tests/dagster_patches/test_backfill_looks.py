"""The daemon takes up a new backfill at once, and looks at all of them no more often than before."""

import threading
import time
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.selector import PartitionsByAssetSelector
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from shotspotter_assets.dagster_patches.backfill_looks import BackfillWait

MINUTE = 60.0


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a"]))
def of_partitions() -> None:
    """Only to be asked for."""


def _launch(instance: dg.DagsterInstance, name: str, created: float) -> None:
    backfill = PartitionBackfill.from_partitions_by_assets(
        backfill_id=name,
        asset_graph=dg.Definitions([of_partitions]).resolve_asset_graph(),
        backfill_timestamp=created,
        tags={},
        dynamic_partitions_store=instance,
        partitions_by_assets=[PartitionsByAssetSelector(asset_key=of_partitions.key)],
        title=None,
        description=None,
        run_config=None,
    )
    assert backfill.status == BulkActionStatus.REQUESTED
    instance.add_backfill(backfill)


def test_waiting_ends_with_a_new_backfill_and_only_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shotspotter_assets.dagster_patches.backfill_looks.LOOK_SECONDS", 0.05)
    # On disk, as one in memory refuses to be read while another thread writes.
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        _launch(instance, "before", time.time() - MINUTE)
        wait = BackfillWait(threading.Event(), instance)
        started = time.monotonic()
        assert not wait.wait(0.3)
        assert time.monotonic() - started >= 0.3
        launched = threading.Timer(0.2, _launch, (instance, "new", time.time() + 0.1))
        launched.start()
        started = time.monotonic()
        assert not wait.wait(MINUTE)
        assert time.monotonic() - started < MINUTE / 2
        launched.join()
        started = time.monotonic()
        assert not wait.wait(0.3)
        assert time.monotonic() - started >= 0.3


def test_waiting_ends_with_the_event() -> None:
    event = threading.Event()
    with dg.DagsterInstance.ephemeral() as instance:
        wait = BackfillWait(event, instance)
        threading.Timer(0.2, event.set).start()
        started = time.monotonic()
        assert wait.wait(MINUTE)
        assert wait.is_set()
        assert time.monotonic() - started < MINUTE / 2
