import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from shotspotter_assets.sources.alert_source import SourceError
from shotspotter_assets.storage.errors import MissingPartitionsError
from shotspotter_assets_tests.defs.chain import DAILY_CHECKS, materialize, resources, run_days
from shotspotter_assets_tests.waiting import wait_until

HEADER = "when,lon,lat,kind,rounds,id\n"
ROWS = [
    "2024-03-02T12:00:00Z,-76.5,38.5,Single_Gunshot,1,a",
    "2024-03-02T12:00:00Z,-76.5,38.5,Single_Gunshot,1,a",
    "2024-03-02T12:00:01Z,-76.5,38.5,#REF!,1,b",
    "2024-03-04T12:00:00Z,38.5,-76.5,Single_Gunshot,1,c",
]


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "landing" / "landing_city"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text(HEADER + "\n".join(ROWS) + "\n")
    return folder


def test_each_day_has_its_own_metadata(landing: Path, tmp_path: Path, instance: dg.DagsterInstance) -> None:
    store = tmp_path / "store"
    result = run_days("landing_city", "2024-03-01", "2024-03-05", resources(str(store), str(landing.parent)), instance)
    assert result.success
    materialized = {
        (event.asset_key.path[-1], event.partition): event.step_materialization_data.materialization.metadata
        for event in result.get_asset_materialization_events()
    }
    assert len(materialized) == 3 * 5
    cleaned = {key: value.value for key, value in materialized["cleaned_alerts", "2024-03-02"].items()}
    assert cleaned["received"] == 3
    assert cleaned["dagster/partition_row_count"] == 2
    assert cleaned["duplicates"] == 1
    assert cleaned["unknown_type_spellings"] == {"#REF!": 1}
    rejected = materialized["cleaned_alerts", "2024-03-04"]["rejected_by_reason"].value
    assert list(rejected) == [
        "swapped_point: longitude and latitude are swapped: the other way round, the point lies within the city's box"
    ]
    checks = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    assert checks == {"rows_are_conserved": True, "counts_equal_alerts": True}
    # Days without alerts are written too.
    stored = {"raw_alerts": ["alerts"], "cleaned_alerts": ["alerts", "rejected"], "grid_tensors": ["grid"]}
    for asset, files in stored.items():
        for day in range(1, 6):
            folder = store / asset / "city=landing_city" / f"date=2024-03-0{day}"
            assert sorted(path.stem for path in folder.iterdir()) == files


def test_unknown_types_and_silent_days_are_logged(
    landing: Path, tmp_path: Path, instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    on = resources(str(tmp_path / "store"), str(landing.parent))
    run_days("landing_city", "2024-03-01", "2024-03-05", on, instance)
    first = capfd.readouterr().err
    assert "1 alerts have an unknown type, which stays empty: '#REF!' 1" in first
    assert "held back, 1 day from 2024-03-04 to 2024-03-04. 1 of 1 rows" in first
    run_days("landing_city", "2024-03-01", "2024-03-20", on, instance)
    assert "18 days without a row since 2024-03-02" in capfd.readouterr().err


def test_reruns_write_the_same_bytes(landing: Path, tmp_path: Path, instance: dg.DagsterInstance) -> None:
    store = tmp_path / "store"
    contents = []
    for first, last in (("2024-03-01", "2024-03-05"), ("2024-03-02", "2024-03-02"), ("2024-03-03", "2024-03-05")):
        assert run_days("landing_city", first, last, resources(str(store), str(landing.parent)), instance).success
        contents.append({path: path.read_bytes() for path in sorted(store.rglob("*.parquet"))})
    assert contents[0] == contents[1] == contents[2]


def test_a_missing_day_upstream_is_named(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    on, day = resources(str(tmp_path)), "2024-03-02"
    says = rf"raw_alerts of landing_city lacks .*{day}.* dg launch --assets landing_city/raw_alerts"
    with pytest.raises(MissingPartitionsError, match=says):
        materialize("landing_city", ["cleaned_alerts"], on, partition_key=day, checks=(), instance=instance)


def test_unreadable_source_stores_nothing(landing: Path, tmp_path: Path, instance: dg.DagsterInstance) -> None:
    for file in landing.iterdir():
        file.write_bytes(b"")
    on = resources(str(tmp_path / "store"), str(landing.parent))
    with pytest.raises(SourceError, match=r"cannot be read as a CSV file"):
        run_days("landing_city", "2024-03-01", "2024-03-05", on, instance)
    assert not (tmp_path / "store" / "raw_alerts").exists()


def test_a_damaged_grid_fails_its_check(landing: Path, tmp_path: Path, instance: dg.DagsterInstance) -> None:
    store = tmp_path / "store"
    arguments = (resources(str(store), str(landing.parent)), instance)
    run_days("landing_city", "2024-03-01", "2024-03-05", *arguments)
    grid = store / "grid_tensors" / "city=landing_city"
    (grid / "date=2024-03-02" / "grid.parquet").write_bytes((grid / "date=2024-03-03" / "grid.parquet").read_bytes())
    days = ("2024-03-01", "2024-03-05")
    result = materialize(
        "landing_city", (), arguments[0], checks=DAILY_CHECKS, days=days, instance=instance, raise_on_error=False
    )
    failed = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert [check.check_name for check in failed] == ["counts_equal_alerts"]
    assert failed[0].metadata["counts_minus_alerts_by_day"].value == {"2024-03-02": -2}


def test_a_backfill_killed_in_the_middle_can_be_run_again(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    store = tmp_path / "store"
    code = (
        "import sys, dagster as dg; from shotspotter_assets_tests.defs.chain import *;"
        "run_days('tiny_city', '2023-07-01', '2024-03-31', resources(sys.argv[1]), dg.DagsterInstance.ephemeral())"
    )
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", code, str(store)], stderr=subprocess.DEVNULL)
    wait_until(lambda: len(list(store.glob("cleaned_alerts/*/*/alerts.parquet"))) >= 20, process=process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(list(store.glob("cleaned_alerts/*/*/alerts.parquet")))
    assert 20 <= done < 275, "the run was to be killed in the middle"
    result = run_days("tiny_city", "2023-07-01", "2024-03-31", resources(str(store)), instance)
    assert result.success
    assert all(check.passed for check in result.get_asset_check_evaluations())
    assert len(list(store.glob("grid_tensors/*/*/grid.parquet"))) == 275
    names = {path.name for path in store.glob("[!.]*/**/[!.]*") if path.is_file()}
    assert names == {"alerts.parquet", "rejected.parquet", "grid.parquet", "_days.parquet", "_lineage.json"}
