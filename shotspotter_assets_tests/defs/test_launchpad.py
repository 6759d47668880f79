import pytest
from pydantic import ValidationError

from shotspotter_assets.city_files import load_cities
from shotspotter_assets.defs.launchpad import changes, sections
from shotspotter_assets.models.forecaster_registry import city_settings

Sections = sections()


def test_sections_are_those_of_forecasters_with_settings() -> None:
    assert set(sections(["ewma", "conv_lstm"]).model_fields) == {"conv_lstm"}


def test_only_what_is_set_changes_the_settings_of_the_citys_file() -> None:
    city = next(iter(load_cities().values()))
    city = city.model_copy(update={"forecasters": {"network": {"epochs": 9, "seed": 3}}})
    config = Sections(network={"epochs": 2})
    assert changes(config) == {"network": {"epochs": 2}}
    settings = city_settings(city, "network", changes(config)["network"])
    assert (settings.model_dump()["epochs"], settings.model_dump()["seed"]) == (2, 3)
    assert changes(Sections()) == {}
    with pytest.raises(ValidationError, match=r"network\.epochs"):
        Sections(network={"epochs": 0})
