import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from shotspotter_assets.alerts.checks.all_checks import ALL_CHECKS
from shotspotter_assets.alerts.checks.finding import Finding
from shotspotter_assets.alerts.checks.window import Window
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets.storage.catalogue import CLEANED, REJECTED, TENSORS
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs import chain
from shotspotter_assets_tests.defs.chain import Installation, materialize, resources

ALL = (*ALL_CHECKS, "alerts_are_on_time", "files_are_readable", "days_are_usable")


def run(
    first: str, last: str, on: Installation, instance: dg.DagsterInstance,
    assets: Sequence[str] = ("raw_alerts", "cleaned_alerts"), checks: Sequence[str] = ALL,
) -> dict[str, dg.AssetCheckEvaluation]:  # fmt: skip
    how = {"days": (first, last), "checks": checks, "instance": instance, "raise_on_error": False}
    done = materialize("tiny_city", assets, on, **how)
    return {check.check_name: check for check in done.get_asset_check_evaluations()}


def test_every_check_runs_on_a_range_and_on_a_day_after_it(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    on = resources(str(tmp_path / "store"))
    names = set(ALL)
    found = run("2023-07-08", "2023-10-20", on, instance)
    assert set(found) == names
    assert all(check.passed for check in found.values()), {n: c.description for n, c in found.items() if not c.passed}
    of_range = found["unusual_days"].metadata["checked_days"].value
    assert 0 < of_range < 105
    # The day alone is compared with the days that are stored before it.
    found = run("2023-10-21", "2023-10-21", on, instance)
    assert set(found) == names
    assert found["unusual_days"].metadata["checked_days"].value == 1
    assert found["clock"].severity == dg.AssetCheckSeverity.WARN


def broken(window: Window) -> Finding:
    """Check a column that is not there."""
    return Finding(True, str(window.alerts["as_received"]))


def test_the_check_of_the_guide_runs_beside_one_that_raises(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = re.search(r"```python\n(.*?)```", (CHECKOUT / "docs/how-to/new_check.md").read_text(), re.DOTALL)[1]
    exec(code, names := {})
    monkeypatch.setitem(ALL_CHECKS, "many_rounds", names["many_rounds"])
    monkeypatch.setitem(ALL_CHECKS, "broken", broken)
    monkeypatch.setattr(chain, "_BUILT", {})
    on = resources(str(tmp_path / "store"))
    store = Store(str(tmp_path / "store"))
    run("2023-11-01", "2023-11-05", on, instance, checks=())
    spoiled = "tiny_city", date(2023, 11, 3)
    alerts = store.read_table(CLEANED, *spoiled)
    rounds = pa.array([999, *[1] * (len(alerts) - 1)], pa.int32())
    store.write_table(CLEANED, alerts.set_column(alerts.schema.get_field_index("rounds"), "rounds", rounds), *spoiled)
    found = run("2023-11-01", "2023-11-05", on, instance, (), [*ALL_CHECKS])
    assert set(found) == set(ALL_CHECKS)
    assert {name for name, one in found.items() if not one.passed} == {"many_rounds", "broken"}
    assert found["many_rounds"].metadata["days"].value == {"2023-11-03": 1.0}
    assert [found[name].severity.value for name in ("many_rounds", "broken")] == ["WARN", "ERROR"]
    assert 'KeyError: \'Field "as_received" does not exist' in found["broken"].description
    # A check that raises neither ends nor forgets its open warnings.
    monkeypatch.setitem(ALL_CHECKS, "many_rounds", lambda window: 1 / 0)
    run("2023-11-03", "2023-11-03", on, instance, (), [*ALL_CHECKS])
    monkeypatch.setitem(ALL_CHECKS, "many_rounds", names["many_rounds"])
    assert not run("2023-11-04", "2023-11-04", on, instance, (), [*ALL_CHECKS])["many_rounds"].passed


def test_wrong_counts_stop_a_run_and_odd_data_do_not() -> None:
    definitions = resources("store").definitions
    specs = [spec for definition in definitions.asset_checks or [] for spec in definition.check_specs]
    assert {spec.name for spec in specs if spec.blocking} == {"rows_are_conserved", "counts_equal_alerts"}


CITY = "landing_city"
DAYS = days_between(date(2024, 3, 2), date(2024, 3, 5))
RUNS = """
import sys, time
from pathlib import Path
import dagster as dg
from shotspotter_assets.storage.objects import LocalFiles
from shotspotter_assets_tests.defs.chain import resources, run_days

store, landing = sys.argv[1:]
write = LocalFiles.write
def slowly(self, path, data):
    write(self, path, data)
    time.sleep(0.01)
LocalFiles.write = slowly
Path(landing, "ready").touch()
while len(list(Path(landing).parent.glob("*/ready"))) < 2:
    time.sleep(0.001)
for _ in range(6):
    with dg.DagsterInstance.ephemeral() as instance:
        run_days("landing_city", "2024-03-02", "2024-03-05", resources(store, landing), instance, False)
"""


@pytest.mark.slow
def test_a_day_that_two_runs_make_at_once_is_whole(tmp_path: Path) -> None:
    for name in "ab":
        folder = tmp_path / name / CITY
        folder.mkdir(parents=True)
        rows = [f"{day}T12:00:00Z,{lon},38.5,Single_Gunshot,1,{name}{day}{lon}" for day in DAYS for lon in (-76.5, -10)]
        (folder / "alerts.csv").write_text("\n".join(["when,lon,lat,kind,rounds,id", *rows]) + "\n")
    program = [sys.executable, "-c", RUNS, str(tmp_path / "store")]
    runs = [subprocess.Popen([*program, str(tmp_path / name)]) for name in "ab"]
    try:
        assert [run.wait(timeout=600) for run in runs] == [0, 0]
    finally:
        for run in runs:
            run.kill()
    store = Store(str(tmp_path / "store"))
    for day in DAYS:
        (kept,) = store.read_table(CLEANED, CITY, day)["source_id"].to_pylist()
        (refused,) = store.read_table(REJECTED, CITY, day)["source_id"].to_pylist()
        assert kept[0] == refused[0]
        assert store.read_table(TENSORS, CITY, day)["count"].to_pylist() == [1]
    assert not list((tmp_path / "store").rglob("*.partial"))
