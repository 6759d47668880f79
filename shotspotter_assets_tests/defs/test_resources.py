"""Resources on S3: a run waits longer for a server that is away than a tick does."""

import time
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from shotspotter_assets.defs import resources
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.storage.errors import StoreUnwritableError
from shotspotter_assets.storage.store import Partition
from shotspotter_assets_tests.line import line_to
from shotspotter_assets_tests.s3_server import S3Server
from shotspotter_assets_tests.storage.test_s3_objects import without_retries

PARTITION = Partition("grid_tensors", "x", "date", date(2018, 1, 1))


def test_a_run_outlasts_an_outage_of_the_store_and_a_tick_does_not(
    s3_server: S3Server, s3_store_root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with line_to(s3_server.endpoint) as line:
        client = without_retries(s3_server, line)
        monkeypatch.setattr(resources, "_s3_client", lambda *_: client)
        monkeypatch.setattr(resources, "TICK_PATIENCE_S", 0.2)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)

        def use(store: StoreResource) -> bytes:
            line.cut_for(2)
            store.open().write_bytes(PARTITION, "grid.parquet", b"x")
            return store.open().read_bytes(PARTITION, "grid.parquet")

        @dg.asset
        def made(store: StoreResource) -> dg.MaterializeResult:
            return dg.MaterializeResult(metadata={"size": len(use(store))})

        @dg.sensor(target=made)
        def tick(store: StoreResource) -> dg.SkipReason:
            store.open().write_bytes(PARTITION, "grid.parquet", b"x")
            return dg.SkipReason("written")

        given = {"store": StoreResource(root=s3_store_root)}
        with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
            result = dg.materialize([made], resources=given, instance=instance)
            assert result.asset_materializations_for_node("made")[0].metadata["size"].value == 1
            line.cut()
            began = time.monotonic()
            with (
                dg.build_sensor_context(instance=instance, resources={"store": given["store"]}) as context,
                pytest.raises(StoreUnwritableError, match="Could not connect"),
            ):
                tick(context)
            assert time.monotonic() - began < 10


def test_the_patience_of_a_run_is_a_minute_or_two() -> None:
    assert 60 <= resources.RUN_PATIENCE_S <= 120
    assert resources.TICK_PATIENCE_S <= 10
