"""What environment variables make of the settings."""

from pathlib import Path

import pytest

from shotspotter_assets.cities.registry import CityFileError, load_cities
from shotspotter_assets.settings import CHECKOUT, UI_URL, Settings
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


def test_the_variable_that_once_switched_automation_on_gets_one_message(caplog: pytest.LogCaptureFixture) -> None:
    Settings.from_environment({"SHOTSPOTTER_AUTOMATION": "on"})
    [message] = caplog.messages
    assert "SHOTSPOTTER_AUTOMATION is not read" in message
    assert "`automation: recent`" in message


def test_a_folder_without_cities_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CityFileError, match="add one file per city"):
        Settings.from_environment({"SHOTSPOTTER_CITIES": str(tmp_path)})


def test_seconds_between_looks_are_read_and_must_be_whole() -> None:
    assert Settings.from_environment({"SHOTSPOTTER_POLL_SECONDS": "60"}).poll_seconds == 60
    for wrong in ("0", "1.5", "often"):
        with pytest.raises(ValueError, match=f"SHOTSPOTTER_POLL_SECONDS must be whole seconds.*{wrong}"):
            Settings.from_environment({"SHOTSPOTTER_POLL_SECONDS": wrong})
