"""The kept store of each release in the hands of this version, without a conversion: it goes on, and what was issued stays."""

import re
import tarfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import duckdb
import pytest

from shotspotter_assets.accountability.account import Period
from shotspotter_assets.accountability.burden_audit import BurdenAudit
from shotspotter_assets.accountability.measured_sections import burden_section
from shotspotter_assets.commands.status import status_facts, status_text
from shotspotter_assets.forecasts.issued_forecasts import (
    ForecastRecord,
    NoForecast,
    load_record,
    next_day_rows,
    total_of,
)
from shotspotter_assets.models.alert_counts import CountDistribution
from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets.storage.catalogue import BURDEN, FORECAST, FORECAST_RECORD, LINEAGE, PAGE, Asset
from shotspotter_assets_tests.automation.living_city import NAME, LivingCity, assets_of
from shotspotter_assets_tests.release.make_store import LAST, MADE_AT, START, inside, live

ARCHIVES: Final = {
    archive.name.removeprefix("store_").removesuffix(".tar.xz").replace("_", "."): archive
    for archive in sorted(Path(__file__).parent.glob("store_[1-9]*.tar.xz"))
}
"""Archives by release."""
MAX_ARCHIVE_BYTES: Final = 400_000
EVIDENCE: Final = (
    Asset.LIVE_MODELS,
    Asset.RISK_FORECASTS,
    Asset.STREET_RISK,
    Asset.PATROL_PLANS,
    Asset.PATROLS_MADE,
    Asset.ALERT_OUTCOMES,
    Asset.FORECAST_SCORES,
    Asset.STREET_SCORES,
    Asset.NOWCAST_SCORES,
    Asset.FOLD_MODELS,
    Asset.EVALUATION_REPORTS,
)
NEXT_DAY: Final = LAST + timedelta(days=1)


@pytest.fixture(params=ARCHIVES)
def town(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LivingCity]:
    """The city of a kept store, in the working folder, at the time when the store was left."""
    with tarfile.open(ARCHIVES[request.param]) as packed:
        packed.extractall(tmp_path, filter="data")
    with inside(tmp_path):
        yield LivingCity(Path(), START, MADE_AT)


def evidence(town: LivingCity) -> dict[str, bytes]:
    """Return the files of what was issued, approved, scored and done, by path, without indexes."""
    root = town.folder / "store"
    files = (file for asset in EVIDENCE for file in (root / asset).rglob("*"))
    indexes = {lineage.file for lineage in LINEAGE.values()}
    return {str(file): file.read_bytes() for file in files if file.is_file() and file.name not in indexes}


def status_of(town: LivingCity) -> str:
    with town.clock():
        return status_text(status_facts(town.on.settings, NAME, town.instance))


def test_each_release_has_a_kept_store() -> None:
    changelog = (CHECKOUT / "CHANGELOG.md").read_text()
    releases = re.findall(r"^## ([1-9]\d*\.\d+\.\d+) \(\d{4}-\d\d-\d\d\)$", changelog, re.MULTILINE)
    missing = [release for release in releases if release not in ARCHIVES]
    assert not missing, "make it as CONTRIBUTING.md says"
    assert {name: size for name, file in ARCHIVES.items() if (size := file.stat().st_size) > MAX_ARCHIVE_BYTES} == {}


def test_no_day_of_a_kept_store_is_due(town: LivingCity, caplog: pytest.LogCaptureFixture) -> None:
    """Audits and patrols made are due: 1.0.0 shrank ratios, and took a missing row of a log for a visit not made."""
    due = {asset for request in town.tick() for asset in assets_of(request)}
    assert due == {"burden_audits", "patrols_made", "city_pages"}
    status = status_of(town)
    assert f"newest known day  {LAST}" in status
    assert "A. Smith" in status
    assert "damaged" not in caplog.text


def test_a_kept_burden_audit_is_read_until_it_is_rebuilt(town: LivingCity) -> None:
    store = town.store.of("gunfire")
    audit = BurdenAudit.find_sound(store, NAME)
    assert audit is not None
    section = burden_section(Period.read(store, town.city, LAST, LAST))
    assert all(figure.value is not None for figure in section.figures)
    assert "frontier" in {table.name for table in section.tables}
    assert {"gini", "missed"} <= set(store.read_table(BURDEN, NAME)["measure"].to_pylist())


def test_a_kept_store_has_what_is_promised(town: LivingCity) -> None:
    stored = evidence(town)
    assert all(any(f"/{asset}/" in path for path in stored) for asset in EVIDENCE)
    days = town.store.days_present(FORECAST_RECORD, NAME)
    records = [load_record(town.store, NAME, day) for day in days]
    issued = [record for record in records if isinstance(record, ForecastRecord)]
    assert any(isinstance(record, NoForecast) for record in records)
    assert [record.replayed for record in issued].count(True) == 1
    assert any(record.shadow for record in issued)
    assert any(path.endswith("waiting.json") for path in stored)
    assert any(path.endswith("lots.parquet") for path in stored)


def test_sql_of_the_guide_returns_the_quantiles_of_issued_forecasts(town: LivingCity) -> None:
    page = (CHECKOUT / "docs" / "how-to" / "read_the_data.md").read_text()
    [query] = re.findall(r"```sql\n(WITH .*?)```", page, re.DOTALL)
    rows = duckdb.sql(query).fetchall()
    issued = {day: town.store.read_table(FORECAST, NAME, day) for day in town.store.days_present(FORECAST, NAME)}
    totals = {
        day: CountDistribution.of_forecast(next_day_rows(table)).total(total_of(table).factor_variance)
        for day, table in issued.items()
    }
    assert len(rows) == 5 * len(totals)
    assert {row: totals[row[1]].ppf(float(row[2])) for row in rows} == {row: row[3] for row in rows}


@pytest.mark.slow  # trains live models
def test_the_next_day_is_made_beside_what_is_kept(town: LivingCity) -> None:
    before = evidence(town)
    live(town, NEXT_DAY)
    made = {asset for request in town.requested for asset in assets_of(request)}
    assert {"raw_alerts", "alert_outcomes", "live_models", "risk_forecasts", "patrol_plans", "city_pages"} <= made
    assert {"patrols_made", "forecast_scores", "street_scores", "nowcast_scores"} <= made
    assert "fold_models" not in made
    after = evidence(town)
    assert {path for path, content in before.items() if after.get(path) != content} == set()
    assert town.tick() == []
    assert f"newest known day  {NEXT_DAY}" in status_of(town)
    track_record = town.store.read_bytes(PAGE.named(file="track_record.html"), NAME).decode()
    assert "9 May 2025" in track_record
