import pytest

from shotspotter_assets.city_files import CityFileError, load_cities
from shotspotter_assets.settings import CHECKOUT, Settings
from shotspotter_assets_tests.conftest import TEST_CITIES


@pytest.mark.parametrize("environ", [{}, {"SHOTSPOTTER_CITIES": "", "SHOTSPOTTER_STORE": "", "SHOTSPOTTER_UI_URL": ""}])
def test_without_variables_the_checkout_has_all(environ: dict[str, str]) -> None:
    settings = Settings.from_environment(environ)
    assert settings == Settings(load_cities(), str(CHECKOUT / "store"), str(CHECKOUT / "landing"))
    assert settings.ui_url == "http://127.0.0.1:3000"
    assert not any(city.is_automated for city in settings.cities.values())
    assert (CHECKOUT / "workspace.yaml").is_file()


def test_each_variable_is_read() -> None:
    environ = {
        "SHOTSPOTTER_CITIES": str(TEST_CITIES), "SHOTSPOTTER_STORE": "s3://bucket/store",
        "SHOTSPOTTER_LANDING": "/landing", "SHOTSPOTTER_UI_URL": "http://dagster.city.gov",
    }  # fmt: skip
    expected = Settings(load_cities(TEST_CITIES), "s3://bucket/store", "/landing", "http://dagster.city.gov")
    assert Settings.from_environment(environ) == expected


def test_seconds_between_polls_must_be_whole() -> None:
    assert Settings.from_environment({"SHOTSPOTTER_POLL_SECONDS": "60"}).poll_seconds == 60
    for wrong in ("0", "1.5", "often"):
        with pytest.raises(ValueError, match=f"SHOTSPOTTER_POLL_SECONDS must be whole seconds.*{wrong}"):
            Settings.from_environment({"SHOTSPOTTER_POLL_SECONDS": wrong})


def test_city_files_on_s3_are_refused_with_where_they_belong() -> None:
    with pytest.raises(CityFileError, match=r"SHOTSPOTTER_CITIES is s3://bucket/cities, but .* into the image"):
        Settings.from_environment({"SHOTSPOTTER_CITIES": "s3://bucket/cities"})
