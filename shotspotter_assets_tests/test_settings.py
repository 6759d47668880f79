"""What environment variables make of the settings."""

from pathlib import Path

import pytest

from shotspotter_assets.cities.registry import CityFileError, load_cities
from shotspotter_assets.settings import CHECKOUT, UI_URL, Settings, UnsetVariableError, require_shared_folders
from shotspotter_assets_tests.conftest import TEST_CITIES


@pytest.mark.parametrize("environ", [{}, {"SHOTSPOTTER_CITIES": "", "SHOTSPOTTER_STORE": "", "SHOTSPOTTER_UI_URL": ""}])
def test_without_variables_the_checkout_has_all(environ: dict[str, str]) -> None:
    settings = Settings.from_environment(environ)
    assert settings == Settings(load_cities(), str(CHECKOUT / "store"), str(CHECKOUT / "landing"))
    assert settings.ui_url == UI_URL
    assert not any(city.is_automated for city in settings.cities.values())
    assert (CHECKOUT / "workspace.yaml").is_file()


def test_each_variable_is_read() -> None:
    environ = {
        "SHOTSPOTTER_CITIES": str(TEST_CITIES),
        "SHOTSPOTTER_STORE": "s3://bucket/store",
        "SHOTSPOTTER_LANDING": "/landing",
        "SHOTSPOTTER_UI_URL": "http://dagster.city.gov",
    }
    expected = Settings(load_cities(TEST_CITIES), "s3://bucket/store", "/landing", "http://dagster.city.gov")
    assert Settings.from_environment(environ) == expected


def test_a_folder_without_cities_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CityFileError, match="add one file per city"):
        Settings.from_environment({"SHOTSPOTTER_CITIES": str(tmp_path)})


def test_seconds_between_polls_must_be_whole() -> None:
    assert Settings.from_environment({"SHOTSPOTTER_POLL_SECONDS": "60"}).poll_seconds == 60
    for wrong in ("0", "1.5", "often"):
        with pytest.raises(ValueError, match=f"SHOTSPOTTER_POLL_SECONDS must be whole seconds.*{wrong}"):
            Settings.from_environment({"SHOTSPOTTER_POLL_SECONDS": wrong})


POSTGRES = "event_log_storage: {module: m, class: BatchedPostgresEventLogStorage}"


@pytest.mark.parametrize(
    ("instance", "shared_by"),
    [
        (POSTGRES, "event_log_storage: BatchedPostgresEventLogStorage"),
        ("run_launcher: {module: dagster_aws.ecs, class: EcsRunLauncher}", "run_launcher: EcsRunLauncher"),
        ("storage: {postgres: {postgres_url: x}}", "storage: postgres"),
        ("storage: {custom: {module: m, class: CompositeStorage}}", "storage: CompositeStorage"),
    ],
)
def test_default_folders_are_refused_where_machines_share_the_instance(
    instance: str, shared_by: str, tmp_path: Path
) -> None:
    (tmp_path / "dagster.yaml").write_text(instance)
    environ = {"DAGSTER_HOME": str(tmp_path), "SHOTSPOTTER_CITIES": str(TEST_CITIES)}
    with pytest.raises(
        UnsetVariableError, match=rf"SHOTSPOTTER_STORE and SHOTSPOTTER_LANDING must be .*\({shared_by}\)"
    ):
        Settings.from_environment(environ)
    with pytest.raises(UnsetVariableError, match=r"^SHOTSPOTTER_LANDING must be set"):
        Settings.from_environment(environ | {"SHOTSPOTTER_STORE": "s3://bucket/store"})
    set_both = {"SHOTSPOTTER_STORE": "s3://bucket/store", "SHOTSPOTTER_LANDING": "/shared/landing"}
    assert Settings.from_environment(environ | set_both).landing_root == "/shared/landing"


@pytest.mark.parametrize(
    "instance", [None, "", "storage: {sqlite: {base_dir: x}}", "- no mapping", "\x00", "the shipped one"]
)
def test_one_machine_may_use_the_folders_beside_the_checkout(instance: str | None, tmp_path: Path) -> None:
    if instance == "the shipped one":
        instance = (CHECKOUT / ".dagster_home" / "dagster.yaml").read_text()
    if instance is not None:
        (tmp_path / "dagster.yaml").write_text(instance)
    assert Settings.from_environment({"DAGSTER_HOME": str(tmp_path)}).store_root == str(CHECKOUT / "store")


def test_a_landing_folder_is_required_only_for_cities_that_have_one(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(POSTGRES)
    simulated = load_cities(TEST_CITIES)["tiny_city"]
    require_shared_folders({"DAGSTER_HOME": str(tmp_path), "SHOTSPOTTER_STORE": "/shared"}, {"tiny_city": simulated})


def test_city_files_on_s3_are_refused_with_where_they_belong() -> None:
    with pytest.raises(CityFileError, match=r"SHOTSPOTTER_CITIES is s3://bucket/cities, but .* into the image"):
        Settings.from_environment({"SHOTSPOTTER_CITIES": "s3://bucket/cities"})
