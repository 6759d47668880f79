"""The kept store of 0.2.0 in the hands of this version: nothing that was issued is lost or made again."""

import json
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shotspotter_assets.automation.due import due
from shotspotter_assets.automation.stored import Stored
from shotspotter_assets.experiments.frozen import ExperimentError, freeze
from shotspotter_assets.migration.conversion import Converted
from shotspotter_assets.migration.days_0_2_0 import CarriedDays
from shotspotter_assets.migration.from_0_2_0 import convert
from shotspotter_assets.migration.migrate import Migration
from shotspotter_assets.migration.old_indexes import KEPT_ASSETS
from shotspotter_assets.patrol.dispatch import read_plan
from shotspotter_assets.serving.headline_scores import headline_scores
from shotspotter_assets.serving.issued_forecasts import ForecastRecord, NoForecast, load_record, next_day_forecasts
from shotspotter_assets.serving.nowcast_scores import NowcastScoreRecord
from shotspotter_assets.serving.score_record import ScoreRecord
from shotspotter_assets.serving.serving_record import ServingRecord
from shotspotter_assets.serving.street_ranking import StreetRecord, StreetScoreRecord
from shotspotter_assets.sources.snapshot import take_snapshot
from shotspotter_assets.status import status_text
from shotspotter_assets.storage.catalogue import FORECAST_RECORD, PAGE, PLAN_RECORD, Asset
from shotspotter_assets.storage.objects import objects_at
from shotspotter_assets.storage.store import parquet_table
from shotspotter_assets.storage.store_format import MARKER, TABLE_ENTRY
from shotspotter_assets_tests.automation.living_city import NAME, LivingCity, row
from shotspotter_assets_tests.conftest import made_once
from shotspotter_assets_tests.defs.chain import materialize, metadata_of
from shotspotter_assets_tests.migration import kept_store
from shotspotter_assets_tests.migration.kept_town import (
    LAST_DAY,
    MORNING,
    carry,
    inside,
    migrate,
    open_town,
    settle_without_folds,
)

ONE_DAY = timedelta(days=1)


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the unpacked archive: `store` as 0.2.0 left it, and `new_store` in the present format."""

    def make(folder: Path) -> None:
        kept_store.unpack(folder)
        shutil.copytree(folder / "store", folder / "new_store")
        rebuilt = migrate(folder / "new_store")
        (folder / "rebuilt.json").write_text(json.dumps(rebuilt))

    return made_once(tmp_path_factory, "kept_store", make)


@pytest.fixture
def town(kept: Path, tmp_path: Path) -> Iterator[LivingCity]:
    """The migrated city in a folder of its own, which is the working folder."""
    for name in ("cities", "landing"):
        shutil.copytree(kept / name, tmp_path / name)
    shutil.copytree(kept / "new_store", tmp_path / "store")
    with inside(tmp_path):
        town = open_town()
        yield town
        town.close()


def lost(old: Path, new: Path) -> dict[str, list[str]]:
    """What the files of 0.2.0 state and their successors do not, by path."""
    found = {
        path: kept_store.differences(old / path, new / kept_store.present_path(path))
        for path in kept_store.evidence(old)
    }
    return {path: differences for path, differences in found.items() if differences}


def test_files_of_what_was_issued_state_what_they_stated(kept: Path) -> None:
    assert len([*kept_store.evidence(kept / "store")]) > 400
    assert lost(kept / "store", kept / "new_store") == {}


def test_other_files_stay_or_have_a_reason(kept: Path) -> None:
    old = kept / "store"
    new = kept / "new_store"
    rebuilt = json.loads((kept / "rebuilt.json").read_text())
    others = {file.relative_to(old).as_posix() for file in old.rglob("*") if file.is_file()}
    others -= {*kept_store.evidence(old)}
    gone = {path for path in others if not (new / path).exists()}
    assert gone == rebuilt.keys()
    assert {path.split("/")[0] for path in gone} == {"city_pages", "fold_models", "nowcasts"}
    assert all(rebuilt.values())


def test_a_migrated_store_is_converted_to_itself(kept: Path) -> None:
    new = kept / "new_store"
    days = {LAST_DAY, LAST_DAY - ONE_DAY}
    of_days = (file for day in days for file in new.rglob(f"date={day}/*"))
    for file in [*of_days, *new.rglob("_lineage.json"), *new.rglob("received.json"), *new.rglob("_days.parquet")]:
        path = file.relative_to(new).as_posix()
        assert convert(path, file.read_bytes()) == [Converted(path, file.read_bytes())], path


def test_todays_readers_read_what_0_2_0_issued(town: LivingCity) -> None:
    store = town.store
    city = town.city
    issued = store.days_present(FORECAST_RECORD, NAME)
    records = {day: load_record(store, NAME, day) for day in issued}
    assert sum(isinstance(record, NoForecast) for record in records.values()) == 2
    newest = records[LAST_DAY]
    assert isinstance(newest, ForecastRecord)
    assert (newest.types, newest.grid, newest.data) == ("", "", "")
    forecasts = next_day_forecasts(store, city, date(2025, 4, 1), LAST_DAY + ONE_DAY)
    assert len(forecasts) == len(issued) - 2
    assert forecasts[LAST_DAY + ONE_DAY]["size"].null_count > 0
    for day in issued:
        assert ServingRecord.load(store, NAME, day).settings == {}
        assert StreetRecord.load(store, NAME, day).issue_date == day
    assert read_plan(store, NAME, LAST_DAY)[1].radius_m is None
    assert store.days_present(PLAN_RECORD, NAME) == issued
    scores = ScoreRecord.load(store, NAME, LAST_DAY)
    assert scores.rolling is not None
    assert (scores.rolling.positives, scores.rolling.numbers) == (52, {})
    assert StreetScoreRecord.load(store, NAME, LAST_DAY).log_loss is not None
    assert NowcastScoreRecord.load(store, NAME, LAST_DAY).nowcasts > 0
    with town.clock():
        assert headline_scores(store, city)["gain"].to_pylist() == [None]


def test_days_of_an_unchanged_source_are_current(town: LivingCity) -> None:
    assert carry(town) == CarriedDays(NAME, days=128, carried=128)
    assert carry(town) == CarriedDays(NAME, days=0, carried=0)
    with town.clock():
        status = status_text(town.on.settings, NAME, town.instance)
    assert "newest known day  2025-05-08" in status
    assert "city_pages: The site is new." in status
    assert "raw_alerts" not in status
    assert not due_kept(town)


def test_models_that_never_serve_again_are_not_frozen(town: LivingCity, tmp_path: Path) -> None:
    first = LAST_DAY + 2 * ONE_DAY
    experiment = tmp_path / "experiment.yaml"
    experiment.write_text(
        f"{{name: one, cities: {{{NAME}: [gunfire]}}, first_day: {first}, last_day: {first}, models: retrained, "
        "scores: [log_loss], references: [historical_mean]}"
    )
    with town.clock(), pytest.raises(ExperimentError, match=r"models are of 0\.2\.0"):
        freeze(town.store, {NAME: town.city}, experiment)


def test_landed_files_that_are_gone_keep_their_rows(town: LivingCity) -> None:
    carry(town)
    for file in Path("landing").rglob("month_*"):
        file.unlink()
    assert not due_kept(town)


def test_a_run_over_kept_partitions_leaves_them_as_they_are(town: LivingCity) -> None:
    carry(town)
    files = [*Path("store", "forecast_scores").rglob("record.json")]
    before = {file: file.read_bytes() for file in files}
    with town.clock():
        how = {"partition_key": str(LAST_DAY), "checks": (), "instance": town.instance}
        result = materialize(NAME, ["forecast_scores"], town.on, **how)
    [metadata] = metadata_of(result).values()
    assert metadata["note"].value == "Left as a migration found it."
    assert {file: file.read_bytes() for file in files} == before


def test_evidence_outlives_lost_lineages_and_damaged_days(kept: Path, tmp_path: Path) -> None:
    for name in ("cities", "landing", "store"):
        shutil.copytree(kept / name, tmp_path / name)
    of_town = {asset: tmp_path / "store" / asset / f"city={NAME}" for asset in Asset}
    (of_town[Asset.RISK_FORECASTS] / "_lineage.json").write_bytes(b'{"2025-')
    (of_town[Asset.PATROL_PLANS] / "_lineage.json").unlink()
    damaged = [
        of_town[asset] / f"date={LAST_DAY}" / "alerts.parquet" for asset in (Asset.RAW_ALERTS, Asset.CLEANED_ALERTS)
    ]
    for number, file in enumerate(damaged):
        file.write_bytes(b"PAR1"[number:])
    with inside(tmp_path):
        town = open_town()
        found = [done.text() for done in Migration(objects_at("store"), cities=[town.city]).run()]
        stored = Stored.read(town.store, town.city)
        issued = town.store.days_present(FORECAST_RECORD, NAME)
        assert all(stored.is_kept(asset, day) for asset in KEPT_ASSETS[:4] for day in issued)
        assert due_kept(town)[:3] == [
            f"{asset} of {LAST_DAY}: {LAST_DAY} ({LAST_DAY}.csv) has other rows now."
            for asset in ("raw_alerts", "cleaned_alerts", "grid_tensors")
        ]
        town.close()
    assert found[-1] == f"{NAME}: 127 days of alerts stay as they are; 1 other day: rebuilt from the source"


def due_kept(town: LivingCity) -> list[str]:
    """The kept partitions, and their days of alerts, that automation would build, in words."""
    with town.clock():
        readers = town.on["sources"].readers(town.city, town.store)
        snapshot = take_snapshot(town.city, readers, town.store, town.now, poll_seconds=None)
        stored = Stored.read(town.store, town.city)
        runs = [*(found := due(town.city, snapshot, stored, [], town.now)).runs, *found.training]
    days = [(run, asset, run.days) for run in runs for asset in run.assets if run.days is not None]
    return [
        f"{asset} of {day}: {run.why}"
        for run, asset, (first, last) in days
        for day in (first + ONE_DAY * number for number in range((last - first).days + 1))
        if day <= LAST_DAY and asset not in (Asset.FOLD_MODELS, Asset.EVALUATION_REPORTS)
    ]


@pytest.mark.slow  # trains live models
def test_next_day_is_made_beside_what_is_kept(town: LivingCity, kept: Path) -> None:
    file = Path("cities", f"{NAME}.yaml")
    file.write_text(f"{file.read_text()}network: false\n")  # a network takes a minute
    town.load()
    assert carry(town).carried == 128
    assert settle_without_folds(town) == {"city_pages"}
    track_record, account = (
        town.store.read_bytes(PAGE.named(file=f"{page}.html"), NAME).decode()
        for page in ("track_record", "accountability")
    )
    assert "18 days, 11 Apr 2025 to 8 May 2025" in track_record
    assert "none: newer alerts" not in account
    next_day = LAST_DAY + ONE_DAY
    town.land(f"{next_day}.csv", *(row(next_day, number) for number in range(8)))
    town.now = MORNING + ONE_DAY
    made = settle_without_folds(town)
    assert {"raw_alerts", "live_models", "risk_forecasts", "patrol_plans", "forecast_scores", "city_pages"} <= made
    models = ServingRecord.load(town.store, NAME, next_day)
    assert "models of 0.2.0 have unknown settings" in " ".join(models.reasons)
    assert models.trained
    scores = ScoreRecord.load(town.store, NAME, next_day)
    assert scores.scores is not None
    assert scores.scores.numbers == {}
    assert lost(kept / "store", Path("store")) == {}
    assert not due_kept(town)
    assert_versions_are_added(Path("store"))


def assert_versions_are_added(store: Path) -> None:
    """Convert a store of this version as programs before its format wrote it: only versions differ from the present one."""
    before = store.with_name("without_versions")
    after = store.with_name("with_versions")
    for file in store.rglob("*"):
        path = before / file.relative_to(store)
        if file.is_file() and file.name != MARKER and ".locks" not in file.parts:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(without_version(file))
    shutil.copytree(before, after)
    rebuilt = migrate(after)
    assert {path.split("/")[0] for path in rebuilt} == {"arrivals", "city_pages"}
    for file in before.rglob("*"):
        path = file.relative_to(before)
        if not file.is_file() or str(path) in rebuilt or path.name == "_lineage.json":
            continue
        if file.suffix == ".parquet":
            assert file.read_bytes() == (after / path).read_bytes(), path
        elif file.suffix == ".json":
            assert json.loads((after / path).read_bytes()) == json.loads((store / path).read_bytes()), path
        else:
            assert file.read_bytes() == (after / path).read_bytes(), path


def without_version(file: Path) -> bytes:
    """The content of a file without the version of its format."""
    content = file.read_bytes()
    if file.suffix == ".json" and b"format_version" in content:
        return json.dumps(
            {name: value for name, value in json.loads(content).items() if name != "format_version"}
        ).encode()
    if file.suffix != ".parquet":
        return content
    table = parquet_table(content)
    facts = {name: value for name, value in (table.schema.metadata or {}).items() if name != TABLE_ENTRY}
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(facts), sink)
    return bytes(sink.getvalue().to_pybytes())
