"""What an account finds wrong: on a store, runs and notices that are as they should be, and spoiled one by one."""

import sqlite3
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from dagster._core.events import DagsterEvent, StepMaterializationData
from dagster._core.storage.tags import RESUME_RETRY_TAG

from shotspotter_assets.partitions import key_of, range_tags
from shotspotter_assets.rehearsal.account import DAILY_CHAIN, materializations
from shotspotter_assets.rehearsal.chaos import account
from shotspotter_assets.rehearsal.chaos.ledger import BadFile, Ledger, Spoiled
from shotspotter_assets.rehearsal.story import Notice
from shotspotter_assets.storage.file_names import ALERTS_FILE, ARRIVALS, GRID_FILE, REJECTED_FILE, UNREADABLE_FILE
from shotspotter_assets.storage.store import Partition, Store

CITY = "any_files"
DAY = date(2026, 3, 2)
NEXT = DAY + timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "store"))
    for day, good, rejected in ((DAY, ["a", "b"], ["bad"]), (NEXT, [], [])):
        write(store, "raw_alerts", ALERTS_FILE, day, good + rejected)
        write(store, "cleaned_alerts", ALERTS_FILE, day, good)
        write(store, "cleaned_alerts", REJECTED_FILE, day, rejected)
        counts = pa.table({"count": pa.array([1] * len(good), pa.int64())})
        store.write_table(Partition("grid_tensors", CITY, "date", day), GRID_FILE, counts)
    return store


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger()
    ledger.take_ids(CITY, DAY, {"a", "b", "bad"})
    ledger.take_ids(CITY, NEXT, set())
    ledger.rejected = {"bad"}
    return ledger


def write(store: Store, asset: str, file: str, day: date, ids: list[str]) -> None:
    store.write_table(Partition(asset, CITY, "date", day), file, pa.table({"source_id": pa.array(ids, pa.string())}))


def stored_wrong(store: Store, ledger: Ledger) -> list[str]:
    return list(account.stored_wrong(store, ledger, [CITY], DAY, NEXT))


def test_nothing_is_wrong_with_what_landed(store: Store, ledger: Ledger) -> None:
    assert stored_wrong(store, ledger) == []


@pytest.mark.parametrize(
    ("asset", "ids", "problem"),
    [
        ("raw_alerts", ["a", "bad"], f"raw_alerts of {CITY}|{DAY} lacks 1 of 3 alerts: b"),
        (
            "raw_alerts",
            ["a", "a", "b", "bad"],
            f"raw_alerts of {CITY}|{DAY} has twice or from nowhere 1 of 3 alerts: a",
        ),
        (
            "cleaned_alerts",
            ["a", "b", "c"],
            f"cleaned_alerts of {CITY}|{DAY} has twice or from nowhere 1 of 2 alerts: c",
        ),
    ],
)
def test_what_is_lost_or_there_twice_is_named(
    store: Store, ledger: Ledger, asset: str, ids: list[str], problem: str
) -> None:
    write(store, asset, ALERTS_FILE, DAY, ids)
    assert stored_wrong(store, ledger) == [problem]


def test_days_that_are_not_made_are_named(store: Store, ledger: Ledger) -> None:
    store.delete(Partition("raw_alerts", CITY, "date", NEXT), ALERTS_FILE)
    store.delete(Partition("grid_tensors", CITY, "date", DAY), GRID_FILE)
    assert stored_wrong(store, ledger) == [
        f"grid_tensors of {CITY}|{DAY} counts None alerts of 2",
        f"raw_alerts of {CITY}|{NEXT} is missing",
    ]


def test_what_is_left_half_written_or_broken_is_named(store: Store) -> None:
    root = Path(store.root)
    assert list(account.broken_files(root)) == []
    (root / ".host-1-2.partial").write_bytes(b"")
    (root / "a.json").write_text("{")
    (root / "a.parquet").write_bytes(b"PAR1")
    found = list(account.broken_files(root))
    assert [problem.split(" ")[0] for problem in found] == [".host-1-2.partial", "a.json", "a.parquet"]


def test_a_broken_database_is_named(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "good.db") as database:
        database.execute("create table rows (text)")
        database.executemany("insert into rows values (?)", [("a" * 1000,)] * 100)
    content = bytearray((tmp_path / "good.db").read_bytes())
    content[8192:12288] = bytes(4096)
    (tmp_path / "bad.db").write_bytes(content)
    (problem,) = account.broken_databases(tmp_path)
    assert problem.startswith("bad.db: ")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        yield instance


def run_of(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus, *made: str, resumes: dg.DagsterRun | None = None
) -> dg.DagsterRun:
    """A run of two days that has made some of its assets."""
    assets = frozenset(dg.AssetKey(asset) for asset in DAILY_CHAIN)
    before = None if resumes is None else resumes.run_id
    tags = range_tags(CITY, DAY, NEXT) | ({RESUME_RETRY_TAG: "true"} if before else {})
    run = dg.DagsterRun(
        "daily", asset_selection=assets, status=status, tags=tags, root_run_id=before, parent_run_id=before
    )
    instance.add_run(run)
    for asset in made:
        for day in (DAY, NEXT):
            data = StepMaterializationData(dg.AssetMaterialization(asset, partition=key_of(CITY, day)))
            event = DagsterEvent("ASSET_MATERIALIZATION", "daily", event_specific_data=data)
            instance.report_dagster_event(event, run.run_id)
    return run


def wrong_statuses(instance: dg.DagsterInstance, ledger: Ledger) -> list[str]:
    made = materializations(instance, DAILY_CHAIN, None)
    return list(account.wrong_statuses(instance, ledger, made, instance.get_run_records()))


@pytest.mark.parametrize(
    ("status", "made", "problem"),
    [
        (dg.DagsterRunStatus.SUCCESS, DAILY_CHAIN, ""),
        (dg.DagsterRunStatus.SUCCESS, DAILY_CHAIN[:2], "is a SUCCESS and has not made 2 of its partitions"),
        (dg.DagsterRunStatus.STARTED, DAILY_CHAIN, "is STARTED, and nothing is under way any more"),
        (dg.DagsterRunStatus.FAILURE, (), "is FAILURE, its process was not killed, and no harm was done to it"),
    ],
)
def test_a_status_that_is_not_true_is_named(
    instance: dg.DagsterInstance, ledger: Ledger, status: dg.DagsterRunStatus, made: tuple[str, ...], problem: str
) -> None:
    run_of(instance, status, *made)
    found = wrong_statuses(instance, ledger)
    assert len(found) == bool(problem)
    assert all(problem in one for one in found)


def test_a_run_that_goes_on_from_another_need_not_make_what_that_made(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    broken = run_of(instance, dg.DagsterRunStatus.SUCCESS, *DAILY_CHAIN[:1])
    assert len(wrong_statuses(instance, ledger)) == 1
    run_of(instance, dg.DagsterRunStatus.SUCCESS, *DAILY_CHAIN[1:], resumes=broken)
    assert len(wrong_statuses(instance, ledger)) == 1
    run_of(instance, dg.DagsterRunStatus.SUCCESS, *DAILY_CHAIN[1:])
    assert len(wrong_statuses(instance, ledger)) == 2


def test_a_run_may_fail_at_what_was_spoiled(instance: dg.DagsterInstance, ledger: Ledger) -> None:
    run = run_of(instance, dg.DagsterRunStatus.STARTED)
    instance.report_run_failed(run, "City any_files: /landing/a.csv cannot be read.")
    assert len(wrong_statuses(instance, ledger)) == 1
    ledger.harms.add("/landing/a.csv")
    assert wrong_statuses(instance, ledger) == []


def test_a_day_may_be_made_again_for_each_change_and_each_broken_run(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    def found() -> list[str]:
        made = materializations(instance, DAILY_CHAIN, None)
        return list(account.made_too_often(ledger, made, instance.get_run_records()))

    run_of(instance, dg.DagsterRunStatus.FAILURE, "raw_alerts")
    run_of(instance, dg.DagsterRunStatus.SUCCESS, *DAILY_CHAIN)
    assert found() == []
    run_of(instance, dg.DagsterRunStatus.SUCCESS, *DAILY_CHAIN)
    assert len(found()) == 2  # raw_alerts of both days
    ledger.take_ids(CITY, DAY, {"c"})
    assert [problem.split(" was")[0] for problem in found()] == [f"raw_alerts of {CITY}|{NEXT}"]


def test_a_day_that_a_later_file_passes_over_may_be_made_once_more(ledger: Ledger) -> None:
    later = NEXT + timedelta(days=2)
    ledger.pass_over(CITY, NEXT)
    assert ledger.versions == {(CITY, DAY): 1, (CITY, NEXT): 1}
    ledger.pass_over(CITY, later)
    assert ledger.versions[CITY, NEXT + timedelta(days=1)] == 1
    ledger.take_ids(CITY, later, {"d"})
    ledger.pass_over(CITY, later)
    assert ledger.versions[CITY, NEXT + timedelta(days=1)] == 1


def test_what_two_runs_make_at_once_is_named(instance: dg.DagsterInstance) -> None:
    runs = [run_of(instance, dg.DagsterRunStatus.STARTED) for _ in range(2)]
    assert list(account.made_together(runs[:1])) == []
    assert f"raw_alerts of {CITY}|{DAY} was made by 2 runs at the same time" in list(account.made_together(runs))


FILES = [
    BadFile(CITY, "far.xlsx", "refused"),
    BadFile(CITY, "a.csv.part", "in transfer"),
    BadFile(CITY, "t.csv", "taken"),
]
TOLD = [Notice(0.0, f"*Corrupt file: {CITY}, far.xlsx*")]


def test_bad_files_that_are_not_named_are(ledger: Ledger) -> None:
    assert list(account.unnamed_files(FILES, "far.xlsx a.csv.part", TOLD)) == []
    assert list(account.unnamed_files(FILES, "far.xlsx", [])) == [
        f"far.xlsx of {CITY} is named in no notice",
        f"a.csv.part of {CITY} is named in no tick",
    ]
    assert len(list(account.unnamed_files([], "", [Notice(0.0, "<img src=x>")]))) == 1


def test_files_that_wrongly_count_as_bad_are_named(store: Store, ledger: Ledger) -> None:
    ledger.spoiled.append(Spoiled(CITY, DAY, Path("/landing/a.csv"), b""))
    assert list(account.wrong_unreadable(store, ledger, [CITY])) == [
        f"a.csv of {CITY} cannot be read, and is not listed as such"
    ]
    listed = b'{"/landing/b.csv": {"version": "1", "error": "cut"}}'
    store.write_bytes(Partition(ARRIVALS, CITY), UNREADABLE_FILE, listed)
    assert f"b.csv of {CITY} counts as unreadable, and can be read" in account.wrong_unreadable(store, ledger, [CITY])
