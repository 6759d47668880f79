import dagster as dg
import pytest

from shotspotter_assets.defs.resources import RUN_ATTEMPTS, TICK_ATTEMPTS, StoreResource


def test_a_run_repeats_requests_more_often_than_a_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    attempts = []

    def note(store: StoreResource) -> None:
        client = store.open()._objects._client  # type: ignore[union-attr]  # the client is on S3 only
        attempts.append(client.meta.config.retries["total_max_attempts"])

    @dg.asset
    def made(store: StoreResource) -> None:
        note(store)

    @dg.sensor(target=made)
    def tick(store: StoreResource) -> dg.SkipReason:
        note(store)
        return dg.SkipReason("noted")

    given = {"store": StoreResource(root="s3://bucket/prefix")}
    assert dg.materialize([made], resources=given).success
    with dg.build_sensor_context(resources=given) as context:
        tick(context)
    assert attempts == [RUN_ATTEMPTS + 1, TICK_ATTEMPTS + 1]
