"""The upgrade from the last release: its wheel and daemon fill a store, today's wheel migrates it and runs a day."""

import json
import re
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Final

import pytest

from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets.storage.store_format import FORMAT_VERSION, MARKER
from shotspotter_assets_tests.migration.kept_store import differences, evidence, present_path
from shotspotter_assets_tests.release.upgraded_town import MAX_WAIT_SECONDS, UpgradedTown, wheel_of, wheel_of_commit
from shotspotter_assets_tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

LAST_RELEASE: Final = "8fcce82d6ae949469b31dbf2a4d0b11ba0071fbb"  # 0.2.0
PRODUCTS: Final = ["live_models", "risk_forecasts", "street_risk", "patrol_plans", "forecast_scores"]
"""Assets of which a person builds past days with the old release, so that there are scores."""


@dataclass
class Upgrade:
    """A town after its upgrade, the store before it, and what the program printed on the way."""

    town: UpgradedTown
    before: Path
    refused: CompletedProcess[str]
    migrated: CompletedProcess[str]
    status: str


@pytest.fixture(scope="module")
def upgrade(tmp_path_factory: pytest.TempPathFactory) -> Upgrade:
    folder = tmp_path_factory.mktemp("upgrade")
    for name in ("old", "new"):
        (folder / name).mkdir()
    old = wheel_of_commit(LAST_RELEASE, folder / "old")
    town = UpgradedTown(folder / "town")
    town.install(old, folder / "old" / "source" / "requirements.lock")
    shutil.copy(folder / "old" / "source" / ".dagster_home" / "dagster.yaml", town.home)
    town.land(town.day(-60), town.day(-2))
    issued = town.store / "risk_forecasts" / "city=town" / f"date={town.day(-1)}" / "record.json"
    town.run_daemon_until_built(issued, town.store / "city_pages" / "city=town" / "pages.json")
    by_hand = town.materialize(PRODUCTS, town.day(-3), town.day(-2))
    assert by_hand.returncode == 0, by_hand.stderr[-3000:]
    before = Path(shutil.copytree(town.store, folder / "before" / "store"))
    town.install(wheel_of(CHECKOUT, folder / "new"), CHECKOUT / "requirements.lock")
    refused = town.run("shotspotter", "status")

    def migrate() -> CompletedProcess[str] | None:
        """Migrate, unless the daemon's last sign of life is too recent."""
        done = town.run("shotspotter", "migrate", "--yes")
        return None if "in use by a daemon" in done.stderr else done

    migrated = wait_until(migrate, MAX_WAIT_SECONDS, every=5)
    town.land(town.day(-1), town.day(-1))
    tomorrow = town.store / "risk_forecasts" / "city=town" / "target=gunfire" / f"date={town.day(0)}" / "record.json"
    town.run_daemon_until_built(tomorrow)
    return Upgrade(town, before, refused, migrated, town.run("shotspotter", "status").stdout)


def test_older_store_is_refused_in_one_line(upgrade: Upgrade) -> None:
    [line] = upgrade.refused.stderr.splitlines()
    assert upgrade.refused.returncode == 1
    assert "shotspotter migrate" in line
    assert str(upgrade.town.store) in line


def test_migration_tells_what_it_did(upgrade: Upgrade) -> None:
    assert upgrade.migrated.returncode == 0, upgrade.migrated.stderr
    assert "risk_forecasts/city=town" in upgrade.migrated.stdout
    assert upgrade.town.record(MARKER)["format_version"] == FORMAT_VERSION


def test_evidence_of_the_old_release_is_kept(upgrade: Upgrade) -> None:
    paths = list(evidence(upgrade.before))
    assert {path.split("/")[0] for path in paths} >= {
        "risk_forecasts",
        "patrol_plans",
        "live_models",
        "forecast_scores",
    }
    lost = {path: differences(upgrade.before / path, upgrade.town.store / present_path(path)) for path in paths}
    assert {path: words for path, words in lost.items() if words} == {}


def test_the_next_day_is_built_and_status_and_pages_state_it(upgrade: Upgrade) -> None:
    town = upgrade.town
    yesterday = town.record("forecast_scores", "city=town", "target=gunfire", f"date={town.day(-1)}", "record.json")
    assert yesterday["scored_date"] == str(town.day(-1))
    forecast = town.record("risk_forecasts", "city=town", "target=gunfire", f"date={town.day(0)}", "record.json")
    assert (forecast["forecast_date"], forecast["last_known"]) == (str(town.day(1)), str(town.day(-1)))
    assert f"newest known day  {town.day(-1)}" in upgrade.status
    assert re.search(r"due +nothing", upgrade.status)
    pages = town.store / "city_pages" / "city=town"
    status = json.loads((pages / "status.json").read_bytes())
    assert status["forecast_date"] == str(town.day(1))
    assert status["served"] == forecast["served"]
    assert f"{town.day(1):%A}" in (pages / "index.html").read_text()


def test_the_old_release_fails_and_damages_nothing_in_a_migrated_store(upgrade: Upgrade, tmp_path: Path) -> None:
    town = upgrade.town
    store = Path(shutil.copytree(town.store, tmp_path / "store"))
    source = tmp_path / "source"
    with tarfile.open(upgrade.before.parents[1] / "old" / "source.tar") as packed:
        packed.extractall(source, filter="data")
    old = {"PYTHONPATH": str(source), "SHOTSPOTTER_STORE": str(store)}
    with town.daemon(**old) as log:
        wait_until(lambda: log.read_text().count("SensorExecutionError") > 1, MAX_WAIT_SECONDS, every=0.5)
    for assets in (PRODUCTS, ["patrol_plans"]):
        assert town.materialize(assets, town.day(-2), town.day(-2), **old).returncode != 0
    kept = {present_path(path) for path in evidence(upgrade.before)}
    assert {path for path in kept if (store / path).read_bytes() != (town.store / path).read_bytes()} == set()


def test_newer_store_is_refused_in_one_line(upgrade: Upgrade, tmp_path: Path) -> None:
    store = Path(shutil.copytree(upgrade.town.store, tmp_path / "store"))
    (store / MARKER).write_text(json.dumps({"format_version": FORMAT_VERSION + 1}))
    before = {file: file.read_bytes() for file in store.rglob("*") if file.is_file()}
    for command in (["status"], ["migrate", "--yes"]):
        refused = upgrade.town.run("shotspotter", *command, SHOTSPOTTER_STORE=str(store))
        [line] = refused.stderr.splitlines()
        assert refused.returncode == 1
        assert "Update the program" in line
    assert {file: file.read_bytes() for file in store.rglob("*") if file.is_file()} == before
