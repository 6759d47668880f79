from datetime import date
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from shotspotter_assets.accountability.residents import Residents
from shotspotter_assets.cities.accountability import AuditLayer
from shotspotter_assets.cities.city import City
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.wording import CHECKOUT
from shotspotter_assets_tests.accountability.layers import EAST, WEST, audit_section, write_halves, write_polygons
from shotspotter_assets_tests.evaluation.cities import square_city

CITY: City = square_city()
CELLS = np.arange(36)


def read(section: dict[str, Any], **changes: Any) -> Residents:
    return Residents.read(CITY, AuditLayer.model_validate(section | changes))


def test_residents_are_spread_by_area_and_drawn_within_margins(tmp_path: Path) -> None:
    residents = read(write_halves(tmp_path, CITY))
    assert residents.problems == ()
    everyone, west, east, *incomes = residents.populations(CELLS, np.random.default_rng(0), 2_000)
    assert everyone.residents[0].sum() == pytest.approx(50_000)
    assert everyone.residents[0].reshape(6, 6)[2].tolist() == pytest.approx([30_000 / 18] * 3 + [20_000 / 18] * 3)
    assert west.residents[0].sum() == pytest.approx(28_000)
    assert west.part[0].reshape(6, 6)[0, 0] == pytest.approx(0.9)
    assert east.part[0].reshape(6, 6)[0, 0] == pytest.approx(0.1)
    drawn = west.residents[1:].sum(axis=1)
    assert drawn.std() == pytest.approx(500 / 1.645 * np.sqrt(2), rel=0.05)
    assert sum(one.residents[0].sum() for one in incomes) == pytest.approx(50_000)


def test_a_part_of_the_city_without_polygons_is_not_covered(tmp_path: Path) -> None:
    file = write_polygons(tmp_path, [((0.0, 0.0, 2.0, 4.0), WEST)])
    cover = read(audit_section(file)).cover.reshape(6, 6)
    assert cover[:, :3] == pytest.approx(1)
    assert cover[:, 3:] == pytest.approx(0)


def test_shapes_without_an_area_are_named_and_hold_nobody(tmp_path: Path) -> None:
    whole = (CITY.box.west, CITY.box.south, CITY.box.east, CITY.box.north)
    flat = (CITY.box.west, CITY.box.south, CITY.box.west, CITY.box.north)
    residents = read(audit_section(write_polygons(tmp_path, [(flat, EAST), (whole, WEST)])))
    assert any("row 1: no polygon with an area" in line for line in residents.problems)
    everyone = next(residents.populations(CELLS, np.random.default_rng(0), 2))
    assert everyone.residents[0].sum() == pytest.approx(30_000)


def test_polygons_that_overlap_are_named(tmp_path: Path) -> None:
    whole = (CITY.box.west, CITY.box.south, CITY.box.east, CITY.box.north)
    residents = read(audit_section(write_polygons(tmp_path, [(whole, EAST), (whole, WEST)])))
    assert any("polygons overlap in 36 cells" in line for line in residents.problems)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"all": 0}, "row 1: no residents"),
        ({"all": None}, "row 1: no residents"),
        ({"all": -666_666_666}, "row 1: no residents"),
        ({"all": -5}, "row 1: all is negative"),
        ({"west": -1}, "row 1: west is negative"),
        ({"west": 29_000}, "row 1: the groups add up to more than all"),
        ({"margin": -1}, "row 1: margin is no margin of error"),
        ({"margin": None}, "row 1: margin is no margin of error"),
    ],
)
def test_wrong_rows_are_named_and_the_others_used(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    residents = read(write_halves(tmp_path, CITY, WEST | changes, EAST))
    assert any(f"residents.geojson: {words}" in line for line in residents.problems)
    assert all(line.startswith("made_up.yaml, audit: ") for line in residents.problems)
    assert np.nansum(residents.groups["east people"].values) >= EAST["east"]


def test_missing_columns_are_named_and_the_others_used(tmp_path: Path) -> None:
    section = write_halves(tmp_path, CITY)
    section["groups"] |= {"north people": {"column": "north"}}
    section["residents"] = {"column": "all", "margin": "all_margin"}
    section["income"] = {"column": "income"}
    residents = read(section)
    assert set(residents.groups) == {"west people", "east people"}
    assert any(
        "has no column north" in line and "groups.north people is left out" in line for line in residents.problems
    )
    assert any("audit.residents.margin: column all_margin is missing" in line for line in residents.problems)
    assert any("audit.income.margin: none is named" in line for line in residents.problems)
    assert not residents.all.errors.any()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"residents": {"column": "people"}}, "has no column people"),
        ({"residents": {"column": "name"}}, "has no number in every row of name"),
        ({"name": "title"}, "has no column title"),
        ({"path": "nowhere.geojson"}, "cannot be read"),
    ],
)
def test_a_layer_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        read(write_halves(tmp_path, CITY), **changes)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("made_up.yaml, audit: ")


def test_a_layer_of_another_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing in the city's box"):
        read(audit_section(write_polygons(tmp_path, [((50.0, 50.0, 51.0, 51.0), WEST)])))


def test_a_factor_cannot_read_the_file_of_the_audit(tmp_path: Path) -> None:
    section = write_halves(tmp_path, CITY)
    factor = {"kind": "polygons", "column": "all", "figure": "count", "known_from": "2023-01-01"}
    factor |= {"path": f"{tmp_path}/./residents.geojson", "known_from": date(2023, 1, 1)}
    with pytest.raises(ValidationError, match=r"factors\.people reads the file of audit"):
        square_city(audit=section, factors={"people": factor})


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
