import os
import re
import shutil
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from shotspotter_assets.__main__ import main
from shotspotter_assets.city_files import find_city, unusable_files
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.settings import Settings
from shotspotter_assets_tests.automation.servers import webhook_server
from shotspotter_assets_tests.conftest import TEST_CITIES
from shotspotter_assets_tests.defs.chain import Installation, evaluate, skip_message


class Folder:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.cities = Path(shutil.copytree(TEST_CITIES, root / "cities"))
        self.file = self.cities / "washington_dc.yaml"
        self.home = root / "home"

    def append(self, text: str) -> None:
        self.file.write_text(self.file.read_text() + text)

    def settings(self) -> Settings:
        environ = {"SHOTSPOTTER_CITIES": str(self.cities), "SHOTSPOTTER_STORE": str(self.root / "store")}
        environ |= {"SHOTSPOTTER_LANDING": str(self.root), "DAGSTER_HOME": str(self.home)}
        return Settings.from_environment(environ)

    def definitions(self) -> dg.Definitions:
        return build_definitions(self.settings())

    def last_good(self) -> Path:
        return self.home / "last_good_cities" / self.file.relative_to("/")


def names(definitions: dg.Definitions) -> set[str]:
    """The assets except those of wrong files, the sensors and the schedules."""
    assets = {spec.key for spec in definitions.resolve_all_asset_specs()}
    started = [*(definitions.sensors or []), *(definitions.schedules or [])]
    return {key.to_user_string() for key in assets if key.path[-1] != "city_file"} | {one.name for one in started}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "home").mkdir()
    return Folder(tmp_path)


WRONG = ["serves: oracle", "grids: 3", "box: 3", "boxes: [unclosed", "streets: {path: gone.gpkg, name: street}"]


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_file_is_an_asset_with_its_problem_beside_the_other_cities(folder: Folder, line: str) -> None:
    folder.append(f"{line}\n")
    specs = {spec.key: spec for spec in folder.definitions().resolve_all_asset_specs()}
    shown = specs[dg.AssetKey(["washington_dc", "city_file"])]
    assert shown.group_name == "washington_dc"
    assert "This city file cannot be used" in (shown.description or "")
    assert "washington_dc.yaml" in (shown.description or "")
    assert dg.AssetKey(["washington_dc", "raw_alerts"]) not in specs
    assert dg.AssetKey(["tiny_city", "raw_alerts"]) in specs


def test_a_file_with_an_odd_name_or_text_stops_no_other_city(folder: Folder) -> None:
    for name in ("z\u00fcrich.yaml", os.fsdecode(b"caf\xe9.yaml")):
        (folder.cities / name).write_text("<img src=x>: 1")
    (folder.cities / ".#draft.yaml").write_text("of an editor")
    (folder.cities / "tiny_city.yml").write_text("of another ending")
    specs = {spec.key: spec for spec in folder.definitions().resolve_all_asset_specs()}
    wrong = {key.path[0]: spec.description or "" for key, spec in specs.items() if key.path[-1] == "city_file"}
    assert set(wrong) == {"z\u00fcrich", "caf\\xe9", "tiny_city.yml"}
    assert not any("<img" in text for text in wrong.values())
    assert dg.AssetKey(["tiny_city", "raw_alerts"]) in specs


@pytest.mark.parametrize("line", WRONG)
def test_the_last_good_file_stays_in_force(folder: Folder, line: str) -> None:
    (folder.cities / "areas.geojson").write_text("{}")
    folder.append("coverage: {file: areas.geojson, name_property: name, areas: {West: 2024-03-05}}\n")
    good = names(folder.definitions())
    text = folder.file.read_text()
    folder.append(f"{line}\n")
    for _ in range(2):  # loading again keeps nothing wrong
        definitions = folder.definitions()
        assert names(definitions) == good
        shown = definitions.resolve_all_asset_specs()
        [problem] = [spec.description or "" for spec in shown if spec.key.path == ["washington_dc", "city_file"]]
        assert "The last good file of 20" in problem
        assert "stays in force until it is corrected" in problem
        assert folder.last_good().read_text() == text
    city = find_city(folder.settings().cities, "washington_dc")
    assert city.coverage.file == folder.cities / "areas.geojson"


def test_a_corrected_file_replaces_the_last_good_one(folder: Folder) -> None:
    text = folder.file.read_text()
    for rows in (36, 20):
        folder.file.write_text(text.replace("rows: 36", f"rows: {rows}"))
        assert not unusable_files(folder.settings().cities)
        folder.append("box: 3\n")
        assert folder.settings().cities["washington_dc"].grid.rows == rows


def test_good_files_are_stored_only_when_they_change(folder: Folder) -> None:
    folder.settings()
    os.utime(folder.last_good(), (0, 0))
    folder.settings()
    assert folder.last_good().stat().st_mtime == 0


def test_a_deleted_file_removes_its_city(folder: Folder) -> None:
    folder.settings()
    folder.file.unlink()
    assert "washington_dc" not in folder.settings().cities


def test_last_good_files_suffice_where_every_file_is_wrong(folder: Folder) -> None:
    good = names(folder.definitions())
    for file in folder.cities.glob("*.yaml"):
        file.write_text("box: 3\n")
    assert names(folder.definitions()) == good


def test_a_home_that_cannot_be_written_to_stops_nothing(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    (folder.home / "last_good_cities").write_text("no folder")
    assert "washington_dc" in folder.settings().cities
    [warning] = [record.getMessage() for record in caplog.records if "last good" in record.getMessage()]
    assert "cannot be kept in" in warning


def test_without_a_home_nothing_is_kept(folder: Folder) -> None:
    folder.home.rmdir()
    folder.settings()
    assert not folder.home.exists()


def test_check_cities_names_the_last_good_file_and_keeps_nothing(folder: Folder) -> None:
    command = ["check-cities", str(folder.cities)]
    environ = {"DAGSTER_HOME": str(folder.home)}
    assert CliRunner().invoke(main, command, env=environ).exit_code == 0
    assert not list(folder.home.iterdir())
    folder.settings()
    folder.append("box: 3\n")
    ran = CliRunner().invoke(main, command, env=environ)
    assert ran.exit_code == 1
    says = "box.*The last good file"
    assert re.search(says, ran.stderr)
    assert "washington_dc" not in ran.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("has_last_good", "says"),
    [(False, "The city stands still until it is corrected"), (True, "stays in force until it is corrected")],
)
def test_a_wrong_file_is_sent_as_a_notice(
    folder: Folder, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, has_last_good: bool, says: str
) -> None:
    if has_last_good:
        folder.settings()
    folder.append("grids: 3\n")
    installation = Installation(folder.settings())
    with webhook_server() as webhook:
        monkeypatch.setenv("SHOTSPOTTER_NOTIFY_URLS", webhook.url)
        assert "wrong city file|washington_dc" in skip_message(evaluate("notices", installation, instance))
    [post] = webhook.posts
    assert "Wrong city file: washington_dc" in post["json"]["message"]
    assert says in post["json"]["message"]
    assert ("stands still" in post["json"]["message"]) is not has_last_good


def test_notices_run_where_only_a_wrong_file_is_left(folder: Folder) -> None:
    for file in folder.cities.glob("*.yaml"):
        file.write_text(file.read_text().replace("automation: history\n", ""))
    assert folder.definitions().resolve_sensor_def("notices").default_status is dg.DefaultSensorStatus.STOPPED
    folder.append("box: 3\n")
    assert folder.definitions().resolve_sensor_def("notices").default_status is dg.DefaultSensorStatus.RUNNING
