import html
import json
from urllib.parse import quote, quote_plus

import pytest
import yaml

from shotspotter_assets.city_files import CityFileError, load_cities
from shotspotter_assets.settings import CHECKOUT, INSTANCE, Settings, lineage_address
from shotspotter_assets.storage.redaction import Redaction, environment_secrets, without_credentials
from shotspotter_assets_tests.conftest import TEST_CITIES


@pytest.mark.parametrize("environ", [{}, {"SHOTSPOTTER_CITIES": "", "SHOTSPOTTER_STORE": "", "SHOTSPOTTER_UI_URL": ""}])
def test_without_variables_the_checkout_has_all(environ: dict[str, str]) -> None:
    settings = Settings.from_environment(environ)
    assert settings == Settings(load_cities(), str(CHECKOUT / "store"), str(CHECKOUT / "landing"))
    assert settings.ui_url == "http://127.0.0.1:3000"
    assert [name for name, city in settings.cities.items() if city.is_automated] == ["simulated_live", "washington_dc"]


def test_the_lineage_of_a_city_is_in_the_code_location_of_the_workspace() -> None:
    [loaded] = yaml.safe_load(INSTANCE.with_name("workspace.yaml").read_text())["load_from"]
    location = loaded["python_module"]["location_name"]
    address = lineage_address("http://dagster.city.gov/", "tiny_city")
    assert address == f"http://dagster.city.gov/locations/{location}/asset-groups/tiny_city/lineage"


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
        with pytest.raises(ValueError, match=f"SHOTSPOTTER_POLL_SECONDS.*{wrong}"):
            Settings.from_environment({"SHOTSPOTTER_POLL_SECONDS": wrong})


def test_city_files_on_s3_are_refused_with_where_they_belong() -> None:
    with pytest.raises(CityFileError, match=r"SHOTSPOTTER_CITIES.*s3://bucket/cities"):
        Settings.from_environment({"SHOTSPOTTER_CITIES": "s3://bucket/cities"})


TOKEN = 'sk-4f/Q9+zT"7&bXw=Lm2~Vé/0kRp<8Nc'


QUOTED = quote(TOKEN, safe="")
IN_JSON = json.dumps(TOKEN)[1:-1], json.dumps(TOKEN, ensure_ascii=False)[1:-1].replace("/", r"\/")
IN_ADDRESSES = QUOTED, quote(TOKEN), quote_plus(TOKEN), QUOTED.lower(), quote(QUOTED, safe="")


@pytest.mark.parametrize("written", [TOKEN, *IN_ADDRESSES, *IN_JSON, html.escape(TOKEN), repr(TOKEN)[1:-1]])
def test_a_secret_is_replaced_in_each_written_form(written: str) -> None:
    assert Redaction(["other", TOKEN]).clean(f"before {written} after") == "before *** after"


@pytest.mark.parametrize("characters", [0, 5, 30, 200])
def test_a_text_is_redacted_before_it_is_cut(characters: int) -> None:
    shown = Redaction([TOKEN]).shortened(f"x {TOKEN} " * 4, characters)
    assert len(shown) <= characters
    assert TOKEN[:8] not in shown


def test_other_text_stays() -> None:
    text = "City x: https://a.example/rest/services/1: HTTP 404: Not found; check the address in the city's file."
    assert Redaction([TOKEN]).clean(text) == text
    assert Redaction([]).clean(text) == text
    assert Redaction(["", "abc"]).clean("abc") == "abc"


def test_the_login_of_any_address_is_replaced() -> None:
    assert Redaction([]).clean("postgresql://me:hunter22@db/x") == "postgresql://***@db/x"
    assert without_credentials("https://u:p@h/?token=abc1 and pwd: hunter22") == "https://***@h/?token=*** and pwd: ***"


def test_variables_with_secrets_are_recognised_by_name() -> None:
    held = {"AWS_SECRET_ACCESS_KEY": "a", "AWS_SESSION_TOKEN": "b", "GATEWAY_TOKEN": "c", "DB_PASSWORD": "d"}
    others = {"AWS_WEB_IDENTITY_TOKEN_FILE": "/run/x", "HOME": "/root", "TOKEN_URL": "https://a.example"}
    assert environment_secrets(held | others) == list("abcd")
