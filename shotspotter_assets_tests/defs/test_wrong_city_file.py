"""A wrong city file stops its city alone, is named wherever one looks, and hides nothing that was made before."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pytest

from shotspotter_assets.cities.registry import CityFileError
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.settings import Settings
from shotspotter_assets_tests.conftest import TEST_CITIES
from shotspotter_assets_tests.notifications.servers import webhook_server

RAW = dg.AssetKey("raw_alerts")
DAY = "2024-03-02"


class Installation(NamedTuple):
    """A folder of city files, and what an installation makes of it."""

    folder: Path
    instance: dg.DagsterInstance

    @property
    def file(self) -> Path:
        return self.folder / "cities" / "washington_dc.yaml"

    def definitions(self) -> dg.Definitions:
        environ = {"SHOTSPOTTER_CITIES": str(self.file.parent), "SHOTSPOTTER_STORE": str(self.folder / "store")}
        return build_definitions(Settings.from_environment(environ | {"SHOTSPOTTER_LANDING": str(self.folder)}))

    def keys(self) -> list[str]:
        partitions = self.definitions().resolve_asset_graph().get(RAW).partitions_def
        assert partitions is not None
        return list(partitions.get_partition_keys())

    def run(self, city: str) -> dg.ExecuteInProcessResult:
        definitions = self.definitions()
        return dg.materialize(
            list(definitions.assets or []),
            selection=dg.AssetSelection.assets(RAW).without_checks(),
            resources=definitions.resources,
            partition_key=f"{city}|{DAY}",
            instance=self.instance,
            raise_on_error=False,
        )

    def tick(self, sensor: str) -> str:
        definitions = self.definitions()
        resources: Any = definitions.resources
        [wanted] = [found for found in definitions.sensors or [] if found.name == sensor]
        context = dg.build_sensor_context(instance=self.instance, resources=resources, definitions=definitions)
        result = wanted(context)
        assert isinstance(result, dg.SensorResult)
        assert result.skip_reason is not None
        return str(result.skip_reason.skip_message)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    shutil.copytree(TEST_CITIES, tmp_path / "cities")
    (tmp_path / "cities" / "live_city.yaml").unlink()
    shutil.copy(tmp_path / "cities" / "tiny_city.yaml", tmp_path / "cities" / "washington_dc.yaml")
    file = tmp_path / "cities" / "washington_dc.yaml"
    file.write_text(file.read_text().replace("tiny_city", "washington_dc").replace("2023-07-01", "2014-01-01"))
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path / "instance")) as instance:
        yield Installation(tmp_path, instance)


def test_the_partitions_of_a_city_stay_while_its_file_is_wrong(installation: Installation) -> None:
    assert installation.run("washington_dc").success
    before = installation.keys()
    assert before[-1].startswith("washington_dc|")
    installation.file.write_text(installation.file.read_text() + "boxes: [unclosed\n")
    assert installation.keys() == before
    assert installation.instance.get_materialized_partitions(RAW) & set(before) == {f"washington_dc|{DAY}"}


def test_a_run_of_the_city_says_which_file_is_wrong_and_the_others_go_on(installation: Installation) -> None:
    installation.file.write_text(installation.file.read_text() + "box: 3\n")
    failed = installation.run("washington_dc")
    assert not failed.success
    error = failed.failure_data_for_node("raw_alerts")
    assert error is not None
    assert error.error is not None
    assert error.error.cause is not None
    assert "City washington_dc stands still until its file can be used" in error.error.cause.message
    assert f"{installation.file}: is not a YAML file of a city: line 9" in error.error.cause.message
    assert "the key 'box' is there twice, in lines 6 and 9" in error.error.cause.message
    assert installation.run("tiny_city").success


@pytest.mark.parametrize("key", ["serves: oracle", "grids: 3"])
def test_it_is_shown_by_the_code_location_the_ticks_and_the_notices(
    key: str, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.file.write_text(installation.file.read_text() + f"{key}\n")
    name = key.partition(":")[0]
    assert (
        f"washington_dc.yaml: {name}: " in installation.definitions().metadata["wrong city file: washington_dc"].value
    )
    for sensor in ("landing_arrivals", "polled_arrivals"):
        said = installation.tick(sensor)
        assert "1 of the city files cannot be used." in said
        assert f"washington_dc.yaml: {name}: " in said
    with webhook_server() as webhook:
        monkeypatch.setenv("SHOTSPOTTER_WEBHOOK_URL", webhook.url)
        assert "wrong city file|washington_dc" in installation.tick("notices")
    [post] = webhook.posts
    assert "*Wrong city file: washington_dc*" in post["json"]["text"]
    assert f"washington_dc.yaml: {name}: " in post["json"]["text"]


def test_someone_is_told_where_the_only_automated_city_has_the_wrong_file(installation: Installation) -> None:
    for file in installation.file.parent.iterdir():
        if file.suffix == ".yaml" and file != installation.file:
            file.write_text(file.read_text().replace("automation: history\n", ""))
    installation.file.write_text(installation.file.read_text() + "box: 3\n")
    statuses = {sensor.name: sensor.default_status for sensor in installation.definitions().sensors or []}
    assert statuses["notices"] is dg.DefaultSensorStatus.RUNNING
    installation.file.write_text(installation.file.read_text().replace("automation: history\n", ""))
    statuses = {sensor.name: sensor.default_status for sensor in installation.definitions().sensors or []}
    assert statuses["notices"] is dg.DefaultSensorStatus.STOPPED


def test_an_installation_without_any_usable_file_does_not_load(installation: Installation) -> None:
    for file in installation.file.parent.glob("*.yaml"):
        file.write_text("box: 3\n")
    with pytest.raises(
        CityFileError, match=r"(?s)landing_city\.yaml: .*\n.*tiny_city\.yaml: .*\n.*washington_dc\.yaml"
    ):
        installation.definitions()
