import shutil
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from shotspotter_assets.storage.catalogue import TENSORS
from shotspotter_assets.storage.errors import MissingPartitionsError
from shotspotter_assets_tests.defs.chain import CITIES, DAILY_CHECKS, materialize, metadata_of, resources
from shotspotter_assets_tests.defs.daily.landing_town import CITY, LandingTown

ROWS = [
    "2024-03-02T12:00:00Z,-76.5,38.5,Single_Gunshot,1,a",
    "2024-03-02T12:00:00Z,-76.5,38.5,Single_Gunshot,1,a",
    "2024-03-02T12:00:01Z,-76.5,38.5,#REF!,1,b",
    "2024-03-04T12:00:00Z,38.5,-76.5,Single_Gunshot,1,c",
]


@pytest.fixture
def town(tmp_path: Path, instance: dg.DagsterInstance) -> LandingTown:
    return LandingTown(tmp_path, instance, *ROWS)


def test_equal_rows_without_an_id_are_counted_as_the_source_says(town: LandingTown) -> None:
    row = ROWS[0].removesuffix("a")
    town.land(row, row)
    shutil.copy(town.file, town.file.with_name("again.csv"))
    source = CITIES[CITY].source
    for equal_rows, expected in (("if_rounded", (2, 2, 0, 1)), ("drop", (2, 1, 1, 0)), ("keep", (2, 2, 0, 1))):
        town.use(CITIES[CITY].model_copy(update={"source": source.model_copy(update={"equal_rows": equal_rows})}))
        found = metadata_of(town.run())["cleaned_alerts", "2024-03-02"]
        names = ("received", "dagster/partition_row_count", "duplicates", "equal_rows")
        assert tuple(found[name].value for name in names) == expected


def test_each_day_has_its_own_metadata(town: LandingTown) -> None:
    result = town.run()
    materialized = metadata_of(result)
    assert len(materialized) == 3 * 5
    cleaned = {key: value.value for key, value in materialized["cleaned_alerts", "2024-03-02"].items()}
    assert cleaned["received"] == 3
    assert cleaned["dagster/partition_row_count"] == 2
    assert cleaned["duplicates"] == 1
    assert cleaned["unknown_type_spellings"] == {"#REF!": 1}
    rejected = materialized["cleaned_alerts", "2024-03-04"]["rejected_by_reason"].value
    [reason] = rejected
    assert reason.startswith("swapped_point: longitude and latitude are swapped: the other way round, the point lies")
    checks = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    assert checks == {"rows_are_conserved": True, "counts_equal_alerts": True}
    # Days without alerts are written too.
    stored = {"raw_alerts": ["alerts"], "cleaned_alerts": ["alerts", "rejected"], "grid_tensors": ["grid"]}
    for asset, files in stored.items():
        for day in range(1, 6):
            folder = Path(town.store.root) / asset / "city=landing_city" / f"date=2024-03-0{day}"
            assert sorted(path.stem for path in folder.iterdir()) == files


def test_unknown_types_and_silent_days_are_logged(town: LandingTown, capfd: pytest.CaptureFixture[str]) -> None:
    town.run()
    first = capfd.readouterr().err
    assert "1 alert with an unknown type, which stays empty: '#REF!' 1" in first
    assert "held back, 4 March 2024. 1 of 1 row" in first
    town.run(last=20)
    assert "unknown, " in capfd.readouterr().err


def test_reruns_write_the_same_bytes(town: LandingTown) -> None:
    contents = []
    for first, last in ((1, 5), (2, 2), (3, 5)):
        town.run(first, last)
        contents.append({path: path.read_bytes() for path in Path(town.store.root).rglob("*.parquet")})
    assert contents[0] == contents[1] == contents[2]


def test_a_missing_day_upstream_is_named(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    on = resources(str(tmp_path))
    day = "2024-03-02"
    says = f"raw_alerts of landing_city.*{day}.*landing_city/raw_alerts"
    with pytest.raises(MissingPartitionsError, match=says):
        materialize("landing_city", ["cleaned_alerts"], on, partition_key=day, checks=(), instance=instance)


def test_a_damaged_grid_fails_its_check(town: LandingTown) -> None:
    town.run()
    damaged = date(2024, 3, 2)
    other = date(2024, 3, 3)
    town.store.write_bytes(TENSORS, town.store.read_bytes(TENSORS, CITY, other), CITY, damaged)
    how = {"days": ("2024-03-01", "2024-03-05"), "instance": town.instance, "raise_on_error": False}
    result = materialize(CITY, (), town.on, checks=DAILY_CHECKS, **how)
    failed = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert [check.check_name for check in failed] == ["counts_equal_alerts"]
    assert failed[0].metadata["counts_minus_alerts_by_day"].value == {"2024-03-02": -2}
