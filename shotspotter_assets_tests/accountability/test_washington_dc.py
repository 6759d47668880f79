"""Police districts of Washington DC with the residents of its tracts, if the folder `shared` is there."""

from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest

from shotspotter_assets.accountability.residents import Residents
from shotspotter_assets.cities.accountability import AuditLayer
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.wording import CHECKOUT

LAYERS = CHECKOUT.parent / "shared" / "data" / "layers"
FIGURES = LAYERS / "washington_dc" / "acs_tract_yearly_2010_2020.parquet"


@pytest.mark.skipif(not FIGURES.exists(), reason="needs ../shared/data/layers, the census tracts of Washington DC")
def test_residents_of_tracts_are_spread_over_the_city(tmp_path: Path) -> None:
    city = Settings.from_environment({}).cities["washington_dc_2018"]
    figures = pd.read_parquet(FIGURES).query("acs_end_year == 2016").set_index("geoid")
    tracts = geopandas.read_file(LAYERS / "washington_dc_tracts_2010.geojson")[["geoid", "geometry"]].set_index("geoid")
    tracts["people"] = figures["pop_total"]
    tracts["black"] = figures["black_pct"] * figures["pop_total"] / 100
    tracts["income"] = figures["median_household_income_usd"]
    tracts.reset_index().to_file(tmp_path / "tracts.geojson")
    layer = {
        "path": tmp_path / "tracts.geojson", "name": "geoid", "year": 2016, "residents": {"column": "people"},
        "groups": {"Black": {"column": "black"}}, "income": {"column": "income"},
    }  # fmt: skip
    residents = Residents.read(city, AuditLayer.model_validate(layer))
    everywhere = np.arange(city.grid.rows * city.grid.columns)
    everyone, black, *incomes = residents.populations(everywhere, np.random.default_rng(0), 10)
    assert everyone.residents[0].sum() == pytest.approx(521_608, rel=0.01), "of 659,009; the box leaves out the west"
    assert 0.4 < black.residents[0].sum() / everyone.residents[0].sum() < 0.6
    poorest, *_, richest = (one.residents[0] @ black.part[0] / one.residents[0].sum() for one in incomes)
    assert poorest > 0.8 > 0.4 > richest
