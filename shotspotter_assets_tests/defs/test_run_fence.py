"""A worker that was cut off and lives on: its run was given up and made again, so it writes nothing any more, on S3 or a disk."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from shotspotter_assets.dagster_patches.finished_runs import RunIsOverError
from shotspotter_assets.defs import run_fence
from shotspotter_assets.defs.resources import SourcesResource, StoreResource
from shotspotter_assets.partitions import range_tags
from shotspotter_assets.storage.file_names import ALERTS_FILE, WITHDRAWN_FILE
from shotspotter_assets.storage.store import Partition, Store
from shotspotter_assets_tests.defs.chain import materialize, resources, run_days
from shotspotter_assets_tests.s3_server import S3Server

CITY, FIRST, LAST = "landing_city", "2024-03-02", "2024-03-03"
HEADER = "when,lon,lat,kind,rounds,id\n"


def row(day: str, name: str) -> str:
    return f"{day}T12:00:00Z,-76.5,38.5,Single_Gunshot,1,{name}\n"


class SlowSources(SourcesResource):
    """Sources whose rows come only after the worker has been cut off for a while."""

    def readers(self, *arguments: Any, **named: Any) -> Any:
        (reader,) = super().readers(*arguments, **named)
        read = reader.read

        def read_and_wait(first: date, last: date) -> pa.Table:
            rows = read(first, last)
            CUT_OFF.set()
            assert BACK.wait(60)
            return rows

        reader.read = read_and_wait
        return [reader]


CUT_OFF, BACK = threading.Event(), threading.Event()


@pytest.fixture(params=["local", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "local":
        yield str(tmp_path / "store")
        return
    server: S3Server = request.getfixturevalue("s3_server")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    yield request.getfixturevalue("s3_store_root")


def test_a_run_that_was_made_again_elsewhere_writes_nothing_when_its_worker_comes_back(
    root: str, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    CUT_OFF.clear()
    BACK.clear()
    landing = tmp_path / "landing" / CITY
    landing.mkdir(parents=True)
    file = landing / "alerts.csv"
    given = resources(root, str(tmp_path / "landing"))
    file.write_text(HEADER + row(FIRST, "a") + row(FIRST, "b") + row(LAST, "c"))
    assert run_days(CITY, FIRST, LAST, given, instance).success
    file.write_text(HEADER + row(FIRST, "a") + row(LAST, "c"))
    slow = given | {"sources": SlowSources(landing_root=str(tmp_path / "landing"))}
    tags = range_tags(CITY, FIRST, LAST)
    with ThreadPoolExecutor(1) as worker:
        cut_off = worker.submit(
            materialize, ["raw_alerts"], slow, checks=(), instance=instance, tags=tags, raise_on_error=False
        )
        assert CUT_OFF.wait(60)
        [run] = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        instance.report_run_failed(run, "Its worker is not heard of.")
        file.write_text(HEADER + row(FIRST, "a") + row(LAST, "d"))
        assert run_days(CITY, FIRST, LAST, given, instance).success
        before = stored(root)
        BACK.set()
        result = cut_off.result(60)
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert "writes nothing any more, as it counts as failure" in failure.step_failure_data.error.cause.message
    assert stored(root) == before
    assert before == {(FIRST, ALERTS_FILE): ["a"], (LAST, ALERTS_FILE): ["d"],
                      (FIRST, WITHDRAWN_FILE): ["b"], (LAST, WITHDRAWN_FILE): ["c"]}  # fmt: skip


def stored(root: str) -> dict[tuple[str, str], list[str]]:
    store: Store = StoreResource(root=root).open()
    return {
        (day, file): store.read_table(Partition("raw_alerts", CITY, "date", date.fromisoformat(day)), file)[
            "source_id"
        ].to_pylist()
        for file in (ALERTS_FILE, WITHDRAWN_FILE)
        for day in (FIRST, LAST)
    }


def test_a_run_is_looked_at_every_few_seconds(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(run_fence, "monotonic", lambda: now)
    run = instance.create_run_for_job(dg.job(name="nothing")(lambda: None))
    fence = run_fence.RunFence(instance, run.run_id)
    fence()
    instance.report_run_canceled(run)
    fence()
    now += run_fence.LOOK_S
    with pytest.raises(RunIsOverError, match="canceled"):
        fence()
    with pytest.raises(RunIsOverError):
        fence()
