from typing import Any

import dagster as dg
import pytest
from pydantic import Field, ValidationError

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


def test_a_run_takes_sections_and_refuses_other_keys() -> None:
    seen: list[Any] = []

    class Config(dg.Config):
        days: int = 4
        settings: Sections = Field(default_factory=Sections)

    @dg.asset
    def trained(config: Config) -> None:
        seen.append(config)

    def run(**config: object) -> None:
        dg.materialize([trained], run_config={"ops": {"trained": {"config": config}}})

    run(settings={"conv_lstm": {"epochs": 3}})
    assert changes(seen[0].settings) == {"conv_lstm": {"epochs": 3}}
    run()
    assert changes(seen[1].settings) == {}
    with pytest.raises(dg.DagsterInvalidConfigError, match="epoch"):
        run(settings={"conv_lstm": {"epoch": 3}})
