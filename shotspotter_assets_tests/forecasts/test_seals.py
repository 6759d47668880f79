"""Sealed forecasts: sequences of days, and what tampering with the store leaves."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from shotspotter_assets.__main__ import main
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY, day_start, days_between
from shotspotter_assets.forecasts.issued_forecasts import (
    DayTotal,
    Forecast,
    ForecastRecord,
    NoForecast,
    content_version,
    grid_version,
    load_record,
    with_facts,
    write_forecast,
)
from shotspotter_assets.forecasts.seals import Chain, Seal, head_of, seal_days, write_sealed
from shotspotter_assets.forecasts.verification import VerificationError, verify
from shotspotter_assets.models.alert_counts import CountDistribution, short_interval
from shotspotter_assets.storage.catalogue import FORECAST, FORECAST_RECORD, HOURLY, PAGE, SEALS, TOP_LOCATIONS
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.automation.living_city import NAME, LivingCity, noon, rows
from shotspotter_assets_tests.forecasts.test_risk_tables import CELLS, next_day
from shotspotter_assets_tests.forecasts.town import CANDIDATE, TOWN

FIRST = date(2024, 5, 1)
FIVE_YEARS_DAYS = 1_826
MAX_CPU_S = 20.0


def instant(day: date, hour: float) -> datetime:
    return day_start(day, TOWN.zone) + timedelta(hours=hour)


def forecast_of(day: date, issued: datetime, level: float = 0.3, city: City = TOWN) -> Forecast:
    """A forecast whose record agrees with its table."""
    rows = next_day(np.full(CELLS, level))
    low, high = map(float, short_interval(CountDistribution.of_forecast(rows).total(0.1)))
    replayed = issued >= day_start(day + ONE_DAY, city.zone)
    table = with_facts(rows, city, 1, DayTotal(low, high, 0.1, 5.0, 2.0), replayed)
    top = TOP_LOCATIONS.schema.empty_table()
    record = ForecastRecord(
        city=city.name, issue_date=day - ONE_DAY, forecast_date=day, served=CANDIDATE, models_from=day - ONE_DAY,
        why_served=(), expected_alerts=float(pc.sum(rows["expected"]).as_py()), expected_alerts_low=low,
        expected_alerts_high=high, interval="", hours="", types="", lead=1, last_known=day - ONE_DAY, drivers={},
        issued_at=issued.isoformat(timespec="seconds"), replayed=replayed, version=content_version((), [table, top]),
        grid=grid_version(city),
    )  # fmt: skip
    return Forecast(table, HOURLY.schema.empty_table(), top, b"{}", record)


@dataclass
class Town:
    """A store under a clock of its own: forecasts are issued, pages are made, and days pass."""

    store: Store
    city: City = TOWN
    heads: list[str] = field(default_factory=list)

    def issue(self, day: date, hours_before: float = 12, level: float = 0.3) -> None:
        now = instant(day, -hours_before)
        write_sealed(self.store, self.city, forecast_of(day, now, level, self.city), now)

    def pages(self, day: date, hour: float = 12) -> None:
        head = seal_days(self.store, self.city, instant(day, hour))
        self.heads += [] if head is None else [head]
        content = json.dumps({"target": self.city.target, "seal": head, "other": 1})
        folder = "" if self.city.target == TOWN.target else f"{self.city.target}/"
        self.store.write_bytes(PAGE.named(file=f"{folder}status.json"), content.encode(), self.city.name)

    def live(self, first: date, last: date) -> "Town":
        for day in days_between(first, last):
            self.issue(day)
            self.pages(day)
        return self

    def seals(self) -> list[Seal]:
        return [Seal.model_validate_json(line) for line in Chain.read(self.store, self.city.name).lines]

    def states(self) -> list[tuple[int, str, bool]]:
        return [((seal.day - FIRST).days, seal.state, seal.remade) for seal in self.seals()]

    def verify(self, head: str = "") -> str:
        return verify(self.store, self.city, instant(FIRST + timedelta(days=60), 0), head)

    def refused(self, head: str = "") -> str:
        with pytest.raises(VerificationError) as error:
            self.verify(head)
        return str(error.value)

    def file(self, file_of: object, day: date) -> Path:
        return Path(self.store.uri(file_of, self.city.name, day - ONE_DAY))  # type: ignore[arg-type]


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(Store(str(tmp_path / "store")).of(TOWN.target))


def test_a_forecast_is_sealed_when_its_day_has_begun(town: Town) -> None:
    town.issue(FIRST, hours_before=12)
    town.pages(FIRST, hour=-11)
    assert town.heads == []
    town.issue(FIRST, hours_before=2, level=0.4)  # a refresh before the day
    town.pages(FIRST, hour=1)
    assert town.states() == [(0, "issued", False)]
    town.pages(FIRST, hour=2)
    assert len(town.seals()) == 1
    assert "As sealed: 1 day (2024-05-01), of these 1 issued" in town.verify()


def test_late_replayed_withheld_and_missing_days_are_links(town: Town) -> None:
    town.live(FIRST, FIRST + ONE_DAY)
    town.issue(FIRST + 2 * ONE_DAY, hours_before=-3)  # late
    withheld = NoForecast(
        city=TOWN.name, issue_date=FIRST + 2 * ONE_DAY, forecast_date=FIRST + 3 * ONE_DAY, lead=9, last_known=FIRST,
        no_forecast="No forecast is issued.", last_issued=None,
    )  # fmt: skip
    write_forecast(town.store, withheld)
    town.live(FIRST + 5 * ONE_DAY, FIRST + 5 * ONE_DAY)
    assert town.states()[2:] == [
        (2, "late", False),
        (3, "withheld", False),
        (4, "missing", False),
        (5, "issued", False),
    ]
    town.issue(FIRST + 4 * ONE_DAY, hours_before=-100)
    assert town.states()[-1] == (4, "replayed", True)
    printed = town.verify(town.heads[0])
    assert "3 issued, 1 late, 1 withheld, 1 replayed" in printed
    assert "seal 1 of 2024-05-01 is in the chain" in printed


def test_a_rebuilt_grid_adds_a_link_and_keeps_the_old_seal(town: Town) -> None:
    town.live(FIRST, FIRST + 3 * ONE_DAY)
    before = town.seals()
    town.city = TOWN.model_copy(update={"grid": TOWN.grid.model_copy(update={"rows": 5})})
    town.issue(FIRST + ONE_DAY, hours_before=-100, level=0.1)
    assert town.seals()[:4] == before
    assert town.states()[4:] == [(1, "replayed", True)]
    assert "Replaced since, with a further link: 2024-05-02." in town.verify(town.heads[2])
    town.issue(FIRST + ONE_DAY, hours_before=-100, level=0.1)  # nothing new
    assert len(town.seals()) == 5


def test_a_store_without_seals_is_sealed_later_and_says_so(town: Town) -> None:
    for day in days_between(FIRST, FIRST + 2 * ONE_DAY):
        write_forecast(town.store, forecast_of(day, instant(day, -12)))
    assert "no day is sealed yet, and forecasts from 2024-05-01 on are stored" in town.refused()
    town.pages(FIRST + 2 * ONE_DAY)
    assert "2 issued days sealed after the day was over" in town.verify()


def test_two_runs_at_once_seal_each_day_once(town: Town) -> None:
    for day in days_between(FIRST, FIRST + 20 * ONE_DAY):
        write_forecast(town.store, forecast_of(day, instant(day, -12)))
    with ThreadPoolExecutor(4) as pool:
        heads = {*pool.map(lambda _: seal_days(town.store, TOWN, instant(FIRST + 20 * ONE_DAY, 12)), range(8))}
    assert len(heads) == 1
    assert [seal.number for seal in town.seals()] == [*range(1, 22)]
    town.verify()


def test_targets_have_chains_of_their_own(tmp_path: Path) -> None:
    both = TOWN.model_copy(update={"targets": {"gunfire": ("gunshots",), "robbery": ("robbery",)}})
    store = Store(str(tmp_path / "store"))
    towns = [Town(of_target, view).live(FIRST, FIRST + 2 * ONE_DAY) for of_target, view in both.by_target(store)]
    assert towns[0].heads[-1] != towns[1].heads[-1]
    assert "town, robbery: seal 3" in verify(store, both, instant(FIRST, 90), towns[1].heads[-1])
    with pytest.raises(VerificationError, match="is not in the chain"):
        verify(store, both, instant(FIRST, 90), "3:" + "0" * 64)


def raise_flagged_cells(town: Town, day: date) -> None:
    """Multiply chances by four, and write the new hash into the record."""
    file = town.file(FORECAST, day)
    table = pq.read_table(file)
    raised = pc.min_element_wise(pc.multiply(table["probability"], 4.0), 0.99)
    pq.write_table(table.set_column(table.column_names.index("probability"), "probability", raised), file)
    record = load_record(town.store, TOWN.name, day - ONE_DAY)
    changed = record.model_copy(update={"table_sha256": sha256(file.read_bytes())})
    town.file(FORECAST_RECORD, day).write_bytes(changed.content())


def drop_rows(town: Town, day: date) -> None:
    file = town.file(FORECAST, day)
    pq.write_table(pq.read_table(file).slice(2), file)


def edit_record(town: Town, day: date) -> None:
    file = town.file(FORECAST_RECORD, day)
    file.write_text(file.read_text().replace('"served": "stack"', '"served": "other"'))


def remove_table(town: Town, day: date) -> None:
    town.file(FORECAST, day).unlink()


def remove_record(town: Town, day: date) -> None:
    town.file(FORECAST_RECORD, day).unlink()


TAMPERED = {
    raise_flagged_cells: "record.json is not as sealed (SHA-256)",
    drop_rows: "forecast.parquet is not as sealed (SHA-256)",
    edit_record: "record.json is not as sealed (SHA-256)",
    remove_table: "forecast.parquet is missing",
    remove_record: "record.json is missing",
}


@pytest.mark.parametrize("tamper", TAMPERED)
def test_tampered_files_are_named_with_city_and_day(town: Town, tamper: object) -> None:
    town.live(FIRST, FIRST + 4 * ONE_DAY)
    tamper(town, FIRST + 3 * ONE_DAY)  # type: ignore[operator]
    tamper(town, FIRST + 2 * ONE_DAY)  # type: ignore[operator]
    message = town.refused()
    assert message.startswith("town, gunfire, 2024-05-03: ")
    assert TAMPERED[tamper] in message  # type: ignore[index]
    assert message.endswith("Also: 2024-05-04.")


def chain_file(town: Town) -> Path:
    return Path(town.store.uri(SEALS, TOWN.name))


def test_a_removed_or_edited_link_is_named(town: Town) -> None:
    town.live(FIRST, FIRST + 4 * ONE_DAY)
    whole = chain_file(town).read_bytes()
    lines = whole.splitlines(keepends=True)
    chain_file(town).write_bytes(b"".join(lines[:2] + lines[3:]))
    assert "town, gunfire, 2024-05-04: seal 4 does not follow the seal before it" in town.refused()
    chain_file(town).write_bytes(whole.replace(b'"issued"', b'"late"', 1))
    assert "town, gunfire, 2024-05-02: seal 2 does not follow" in town.refused()
    chain_file(town).write_bytes(whole.replace(b'"number":3', b'"number":x', 1))
    assert "town, gunfire, 2024-05-02: seal 3, after that of this day, cannot be read" in town.refused()


def test_a_chain_cut_short_is_found_and_never_repaired_in_silence(town: Town) -> None:
    town.live(FIRST, FIRST + 4 * ONE_DAY)
    lines = chain_file(town).read_bytes().splitlines(keepends=True)
    chain_file(town).write_bytes(b"".join(lines[:3]))
    words = f"the pages showed seal {town.heads[-1]}, which ends with seal 3 (2024-05-03)"
    assert f"town, gunfire, 2024-05-03: {words}" in town.refused()
    town.live(FIRST + 5 * ONE_DAY, FIRST + 5 * ONE_DAY)
    assert f"town, gunfire, 2024-05-04: seal 4 states: The pages showed seal {town.heads[4]}" in town.refused()
    assert "seal 5 (2024-05-05) has another hash" in town.refused(town.heads[4])
    chain_file(town).unlink()
    assert "seals.jsonl is missing or empty" in town.refused()


def test_a_restored_backup_is_found_by_a_kept_head(town: Town) -> None:
    town.live(FIRST, FIRST + ONE_DAY)
    backup = {file: file.read_bytes() for file in Path(town.store.root).rglob("*") if file.is_file()}
    town.live(FIRST + 2 * ONE_DAY, FIRST + 4 * ONE_DAY)
    for file in Path(town.store.root).rglob("*"):
        if file.is_file() and file not in backup:
            file.unlink()
    for file, content in backup.items():
        file.write_bytes(content)
    assert "seal 2 of 2024-05-02 is in the chain" in town.verify(town.heads[1])
    assert "is not in the chain, which ends with seal 2 (2024-05-02)" in town.refused(town.heads[-1])
    assert "is not in the chain" in town.refused("f" * 64)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"expected_alerts": 11.47}, "expected_alerts of record.json is 11.47, and the table adds up to"),
        ({"expected_alerts_high": 99.0}, "The interval in record.json is"),
        ({"version": "0" * 16}, "version of record.json is 0000000000000000, and the tables have"),
    ],
)
def test_a_record_that_contradicts_its_table_is_named(town: Town, changes: dict[str, object], words: str) -> None:
    forecast = forecast_of(FIRST, instant(FIRST, -12))
    record = forecast.record.model_copy(update=changes)
    write_forecast(town.store, Forecast(forecast.table, forecast.hourly, forecast.top, b"{}", record))
    town.pages(FIRST)
    assert words in town.refused()


def test_the_head_is_the_hash_of_the_last_line(town: Town) -> None:
    town.live(FIRST, FIRST + ONE_DAY)
    last = chain_file(town).read_bytes().splitlines()[-1]
    assert head_of(town.store, TOWN.name) == f"2:{sha256(last)}"


def test_five_years_are_verified_in_seconds(town: Town) -> None:
    """Days are copies of one forecast, with records of their own."""
    forecast = forecast_of(FIRST, instant(FIRST, -12))
    for day in days_between(FIRST, FIRST + timedelta(days=FIVE_YEARS_DAYS - 1)):
        facts = {"issue_date": day - ONE_DAY, "forecast_date": day, "issued_at": instant(day, -12).isoformat()}
        record = forecast.record.model_copy(update=facts)
        write_forecast(town.store, Forecast(forecast.table, forecast.hourly, forecast.top, b"{}", record))
    now = instant(FIRST + timedelta(days=FIVE_YEARS_DAYS - 1), 12)
    seal_days(town.store, TOWN, now)
    began = time.process_time()
    assert "1,826 days" in verify(town.store, TOWN, now)
    assert time.process_time() - began < MAX_CPU_S
    town.issue(FIRST + timedelta(days=FIVE_YEARS_DAYS))
    began = time.process_time()
    seal_days(town.store, TOWN, now + ONE_DAY)
    assert time.process_time() - began < MAX_CPU_S / 20


CITY_FILE = """
name: town
time_zone: {zone}
start: 2024-01-01
box: {{west: -77.0, south: 38.0, east: -76.0, north: 39.0}}
grid: {{rows: 4, columns: 4}}
source: {{kind: landing, columns: {{time: when, longitude: lon, latitude: lat}}}}
"""


def test_the_command_verifies_a_store(town: Town, tmp_path: Path) -> None:
    town.live(FIRST, FIRST + 2 * ONE_DAY)
    (tmp_path / "cities").mkdir()
    (tmp_path / "cities" / "town.yaml").write_text(CITY_FILE.format(zone=TOWN.time_zone))
    names = {"CITIES": "cities", "STORE": "store", "LANDING": "landing"}
    environment = os.environ | {f"SHOTSPOTTER_{name}": str(tmp_path / folder) for name, folder in names.items()}

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "shotspotter_assets", "verify", "town", *arguments]
        return subprocess.run(line, env=environment, capture_output=True, text=True, check=False)

    whole = command("--head", town.heads[0])
    assert whole.returncode == 0, whole.stderr
    assert "town, gunfire: As sealed: 3 days (2024-05-01 to 2024-05-03), of these 3 issued." in whole.stdout
    drop_rows(town, FIRST)
    changed = command()
    assert changed.returncode == 1
    assert changed.stderr.startswith("Error: town, gunfire, 2024-05-01: forecast.parquet is not as sealed")


def mirror(store: Store, day: date) -> None:
    """Exchange the rows of a forecast's map from north to south, and write the hashes of that into the record."""
    file = Path(store.uri(FORECAST, NAME, day - ONE_DAY))
    table = pq.read_table(file)
    mirrored = pc.subtract(pc.max(table["row"]), table["row"]).cast(table["row"].type)
    table = table.set_column(table.column_names.index("row"), table.schema.field("row"), mirrored)
    pq.write_table(table, file)
    record = ForecastRecord.load(store, NAME, day - ONE_DAY)
    version = content_version(record.why_served, [table, store.read_table(TOP_LOCATIONS, NAME, day - ONE_DAY)])
    changes = {"table_sha256": sha256(file.read_bytes()), "version": version}
    Path(store.uri(FORECAST_RECORD, NAME, day - ONE_DAY)).write_bytes(record.model_copy(update=changes).content())


def test_a_day_is_forecast_again_from_its_models(tmp_path: Path) -> None:
    """A forecast that was changed before its seal fits the chain, and differs from that of its models."""
    first = date(2026, 3, 2)
    today = first + timedelta(days=14)
    lived = LivingCity(tmp_path, first, noon(today))
    lived.land("history.csv", *rows(first, today - ONE_DAY))
    lived.settle(checks=False)
    store = lived.store.of(TOWN.target)
    mirror(store, today + ONE_DAY)
    lived.now += ONE_DAY

    def remade(day: date) -> Result:
        with lived.clock():
            seal_days(store, lived.city, lived.now)
            return CliRunner().invoke(main, ["verify", NAME, "--remake", str(day)], env=lived.environment())

    equal, changed, missing = (remade(today + days * ONE_DAY) for days in (0, 1, 5))
    assert f"{NAME}, gunfire, {today}: equal tables (" in equal.output
    assert f"{NAME}, gunfire, {today + ONE_DAY}: row differs (" in changed.output
    assert (equal.exit_code, changed.exit_code, missing.exit_code) == (0, 0, 1)
    assert f"Error: {NAME}, gunfire, {today + 5 * ONE_DAY}: there is no forecast" in missing.output
