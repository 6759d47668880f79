"""A wrong city file stops only its own city and is named in the UI and in the notices."""

import os
import shutil
from pathlib import Path

import dagster as dg
import pytest

from shotspotter_assets.cities.registry import CityFileError
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.settings import Settings
from shotspotter_assets_tests.conftest import TEST_CITIES
from shotspotter_assets_tests.notifications.servers import webhook_server


class Folder:
    """A folder of city files, and the definitions that are built from it."""

    def __init__(self, root: Path) -> None:
        self.root, self.cities = root, Path(shutil.copytree(TEST_CITIES, root / "cities"))
        self.file = self.cities / "washington_dc.yaml"

    def append(self, text: str) -> None:
        self.file.write_text(self.file.read_text() + text)

    def definitions(self) -> dg.Definitions:
        environ = {"SHOTSPOTTER_CITIES": str(self.cities), "SHOTSPOTTER_STORE": str(self.root / "store")}
        return build_definitions(Settings.from_environment(environ | {"SHOTSPOTTER_LANDING": str(self.root)}))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.mark.parametrize("line", ["serves: oracle", "grids: 3", "box: 3", "boxes: [unclosed"])
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
    specs = {spec.key: spec for spec in folder.definitions().resolve_all_asset_specs()}
    wrong = {key.path[0]: spec.description or "" for key, spec in specs.items() if key.path[-1] == "city_file"}
    assert set(wrong) == {"z\u00fcrich", "caf\\xe9"}
    assert not any("<img" in text for text in wrong.values())
    assert dg.AssetKey(["tiny_city", "raw_alerts"]) in specs


def test_a_wrong_file_is_sent_as_a_notice(
    folder: Folder, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.append("grids: 3\n")
    definitions = folder.definitions()
    with webhook_server() as webhook:
        monkeypatch.setenv("SHOTSPOTTER_WEBHOOK_URL", webhook.url)
        context = dg.build_sensor_context(
            instance=instance, definitions=definitions, resources=dict(definitions.resources or {})
        )
        result = definitions.resolve_sensor_def("notices")(context)
    assert isinstance(result, dg.SensorResult)
    assert "wrong city file|washington_dc" in str(result.skip_reason)
    [post] = webhook.posts
    assert "Wrong city file: washington_dc" in post["json"]["text"]


def test_notices_run_where_only_a_wrong_file_is_left_to_tell_of(folder: Folder) -> None:
    for file in folder.cities.glob("*.yaml"):
        file.write_text(file.read_text().replace("automation: history\n", ""))
    assert folder.definitions().resolve_sensor_def("notices").default_status is dg.DefaultSensorStatus.STOPPED
    folder.append("box: 3\n")
    assert folder.definitions().resolve_sensor_def("notices").default_status is dg.DefaultSensorStatus.RUNNING


def test_an_installation_without_any_usable_file_does_not_load(folder: Folder) -> None:
    for file in folder.cities.glob("*.yaml"):
        file.write_text("box: 3\n")
    with pytest.raises(CityFileError, match=r"(?s)landing_city\.yaml: .*\n.*washington_dc\.yaml"):
        folder.definitions()
