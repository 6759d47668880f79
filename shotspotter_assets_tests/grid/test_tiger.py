"""Files in the layout of the US Census Bureau, made of the packaged streets and districts of Washington DC."""

import re
import resource
import shutil
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
import yaml
from click.testing import CliRunner, Result

from shotspotter_assets.__main__ import main
from shotspotter_assets.accountability.residents import Residents
from shotspotter_assets.city_files import PACKAGE_CITIES, load_city
from shotspotter_assets.forecasts.street_segments import read_segments
from shotspotter_assets.grid.city_factors import CityFactors
from shotspotter_assets.pages.places import Places
from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets_tests.cities.test_city_files import write

FOLDER = PACKAGE_CITIES / "washington_dc"
DOWNTOWN = {"west": -77.04, "south": 38.89, "east": -77.0, "north": 38.92}
ROADS = "tl_2018_11001_roads.zip"
TRACTS = "tl_2018_11_tract.zip"
GEOIDS = [f"0900100{at}" for at in range(7)]  # of a state whose number begins with 0
CENSUS_FILES = CHECKOUT.parent / "shared" / "data" / "layers"


def zipped(path: Path, frame: geopandas.GeoDataFrame) -> Path:
    """Write a zipped shapefile in the Bureau's system, NAD83."""
    folder = path.with_suffix("")
    folder.mkdir()
    frame.to_crs(4269).to_file(folder / f"{folder.name}.shp")
    return Path(shutil.make_archive(str(folder), "zip", folder))


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Archives as the Census Bureau publishes them, from the packaged streets and districts, and unusable ones."""
    folder = tmp_path_factory.mktemp("downloads")
    streets = geopandas.read_parquet(FOLDER / "streets.parquet").rename(columns={"name": "FULLNAME", "mtfcc": "MTFCC"})
    streets["LINEARID"] = [f"1104{at}" for at in range(len(streets))]
    streets["RTTYP"] = "M"
    streets.loc[streets.index[:100], "FULLNAME"] = None
    zipped(folder / ROADS, streets)
    zipped(folder / "far.zip", streets[:20].assign(geometry=streets[:20].translate(1, 1)))
    zipped(folder / "nameless.zip", streets[:20].assign(FULLNAME=None))
    districts = geopandas.read_file(FOLDER / "police_districts.geojson").geometry
    names = [f"{at}.02" for at in range(7)]
    tracts = {"GEOID": GEOIDS, "NAME": names, "NAMELSAD": [f"Census Tract {name}" for name in names]}
    zipped(folder / TRACTS, geopandas.GeoDataFrame(tracts, geometry=districts))
    (folder / "empty.zip").touch()
    return folder


def layers(cities: Path, *arguments: str | Path) -> Result:
    environ = {"SHOTSPOTTER_CITIES": str(cities)}
    return CliRunner().invoke(main, ["layers", "washington_dc", *map(str, arguments)], env=environ)


def test_layers_of_a_county_name_places_and_segments(downloads: Path, tmp_path: Path) -> None:
    file = write(tmp_path, box=DOWNTOWN)
    ran = layers(tmp_path, "--roads", downloads / ROADS, "--areas", downloads / TRACTS)
    assert ran.exit_code == 0, ran.output
    assert not ran.stderr
    files, lines = ran.stdout.split(f"Add to {file}:\n")
    assert f"{tmp_path}/washington_dc/districts.parquet: " in files
    file.write_text(file.read_text() + lines)
    city = load_city(file)
    assert shapely.box(*city.box.edges).covers(geopandas.read_parquet(city.streets.path).union_all())
    assert len(read_segments(city)) > 500
    named = list(Places(city).ground(np.arange(36 * 36))["places"].values())
    assert sum(name.startswith("near ") and ", Census Tract " in name for name in named) > 0.9 * len(named)
    assert 'path: "washington_dc/streets.parquet"' in lines
    says = "streets.parquet already exists; remove it, or name another folder with --to."
    assert layers(tmp_path, "--roads", downloads / ROADS).stderr == f"Error: {tmp_path}/washington_dc/{says}\n"


def test_layers_of_another_folder_and_two_counties_have_full_paths(downloads: Path, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "cities").mkdir()
    file = write(tmp_path / "cities")
    given = (tmp_path / "cities", "--roads", downloads / ROADS, "--to", tmp_path / "made")
    ran = layers(*given, "--roads", downloads / ROADS)
    made = str(tmp_path / "made/streets.parquet")
    streets = {"path": made, "name": "name", "only": {"mtfcc": ["S1200", "S1400"]}}
    assert yaml.safe_load(ran.stdout.split(f"Add to {file}:\n")[1]) == {"streets": streets}
    assert len(geopandas.read_parquet(made)) == 2_662, "a county counts once"
    assert layers(*given, "--areas", downloads / TRACTS).exit_code == 1
    assert not (tmp_path / "made/districts.parquet").exists(), "all files are written or none"


def test_the_common_name_of_a_road_comes_before_its_number(tmp_path: Path) -> None:
    file = write(tmp_path, box=DOWNTOWN)
    line = shapely.LineString([(-77.03, 38.9), (-77.01, 38.9)])
    roads = {"FULLNAME": ["US Hwy 29", "Georgia Ave"], "MTFCC": "S1200", "RTTYP": ["U", "M"]}
    zipped(tmp_path / ROADS, geopandas.GeoDataFrame(roads, geometry=[line, line], crs=4269))
    ran = layers(tmp_path, "--roads", tmp_path / ROADS)
    assert ran.stderr.startswith("Warning: City washington_dc, streets: covers ")
    file.write_text(file.read_text() + ran.stdout.split(f"{file}:\n")[1])
    assert read_segments(load_city(file)).streets == ["Georgia Ave"]


@pytest.mark.parametrize(
    ("option", "file", "says"),
    [
        ("--roads", "none.zip", "none.zip does not exist."),
        ("--roads", "far.zip", "far.zip has nothing in the city's box; its shapes lie within "),
        ("--roads", "nameless.zip", "nameless.zip has no name in any row of FULLNAME. Correct `--roads`."),
        ("--roads", TRACTS, f"{TRACTS} has no column FULLNAME; it has GEOID, NAME, NAMELSAD. Correct"),
        ("--areas", ROADS, f"{ROADS} has no column NAME; it has FULLNAME, MTFCC, LINEARID, RTTYP. Correct `--areas`."),
        ("--areas", "empty.zip", "empty.zip cannot be read: "),
    ],
)
def test_an_unusable_file_is_one_line(option: str, file: str, says: str, downloads: Path, tmp_path: Path) -> None:
    write(tmp_path)
    ran = layers(tmp_path, "--roads", downloads / ROADS, option, downloads / file)
    assert ran.exit_code == 1
    assert says in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert not (tmp_path / "washington_dc").exists()


def census_table(folder: Path, **cells: str) -> Path:
    """Write a table as data.census.gov gives it, with a second header; `cells` are columns' texts in row 5."""
    table = pd.DataFrame(
        {
            "GEO_ID": [f"1400000US{geoid}" for geoid in GEOIDS],
            "NAME": [f"Census Tract {geoid}" for geoid in GEOIDS],
            "people": [f"1,{at}00" for at in range(7)],
            "people_margin": "90",
            "black": "400",
            "income": ["-", *["60500"] * 6],
        }
    )
    for column, text in cells.items():
        table.loc[2, column] = text
    header = pd.DataFrame([{name: f"Estimate!!{name}" for name in table.columns} | {"GEO_ID": "Geography"}])
    pd.concat([header, table]).to_csv(folder / "acs.csv", index=False)
    return folder / "acs.csv"


def test_a_census_table_and_its_shapes_are_read_by_audits_and_factors(downloads: Path, tmp_path: Path) -> None:
    file = write(tmp_path, box=DOWNTOWN)
    given = ("--figures", census_table(tmp_path), "--shapes", downloads / TRACTS, "--key", "GEO_ID=GEOID")
    ran = layers(tmp_path, *given)
    assert ran.exit_code == 0, ran.output
    assert ran.stderr == f"Warning: {tmp_path}/acs.csv: NAME has no number in any row, and is left out.\n"
    made, lines = ran.stdout.split(f"Add to {file}:\n")
    whole = geopandas.read_parquet(tmp_path / "washington_dc/audit.parquet")
    [line, _] = made.splitlines()
    assert line.endswith(f"/audit.parquet: {len(whole)} rows with GEOID, people, people_margin, black, income")
    assert set(whole["people"]) <= {1_000.0 + 100 * at for at in range(7)}
    assert "black" not in geopandas.read_parquet(tmp_path / "washington_dc/factors.parquet")
    lines = lines.replace("YEAR", "2018").replace("{column: COLUMN}", "{column: people, margin: people_margin}")
    file.write_text(
        file.read_text() + lines.replace("NAME", "pay").replace("COLUMN", "income").replace("YYYY-MM-DD", "2019-12-01")
    )
    city = load_city(file)
    residents = Residents.read(city, city.audit)
    assert np.sum(residents.all.values) == whole["people"].sum()
    assert residents.problems == ()
    [pay] = CityFactors.read(city).of_cells
    assert np.nanmax(pay.by_cell) == pytest.approx(60_500)
    assert layers(tmp_path, *given).stderr.startswith(f"Error: {tmp_path}/washington_dc/audit.parquet already exists;")


def test_other_systems_of_coordinates_give_the_same_areas(downloads: Path, tmp_path: Path) -> None:
    write(tmp_path)
    table = census_table(tmp_path)
    tracts = geopandas.read_file(downloads / TRACTS)
    found = []
    for crs in (4326, 26985):
        shapes = tmp_path / f"{crs}.gpkg"
        tracts.to_crs(crs).to_file(shapes)
        ran = layers(
            tmp_path, "--figures", table, "--shapes", shapes, "--key", "GEO_ID=GEOID", "--to", tmp_path / str(crs)
        )
        assert ran.exit_code == 0, ran.output
        found.append(geopandas.read_parquet(tmp_path / str(crs) / "audit.parquet"))
    assert found[0].drop(columns="geometry").equals(found[1].drop(columns="geometry"))
    assert found[0].geometry.geom_equals_exact(found[1].geometry, 1e-6).all()


@pytest.mark.parametrize(
    ("cells", "options", "says"),
    [
        (
            {"GEO_ID": "1400000US09001009"},
            {},
            "TRACTS, row 3: GEOID 9001002 has no row in TABLE (1 such area). Use a table",
        ),
        (
            {"GEO_ID": "09001001"},
            {},
            "TABLE, row 5: GEO_ID 09001001 is in row 4 too. Keep one row for each area, such as",
        ),
        ({"GEO_ID": ""}, {}, "TABLE, row 5: GEO_ID is empty. Keep one row for each area"),
        (
            {"income": "250,000+"},
            {},
            "TABLE, row 5: income is '250,000+', no number. Correct it, leave it empty, or remove",
        ),
        (
            {},
            {"--key": "GEOID"},
            "TABLE has no column 'GEOID'; it has GEO_ID, NAME, people, people_margin, black and 1 more.",
        ),
        ({}, {"--key": "GEO_ID=FIPS"}, "TRACTS has no column FIPS; it has GEOID, NAME, NAMELSAD. Correct `--key`."),
        ({}, {"--only": "year=2018"}, "TABLE has no column 'year'; it has GEO_ID, "),
        ({}, {"--only": "people=2"}, "TRACTS, row 1: GEOID 9001000 has no row in TABLE (7 such areas)."),
        ({}, {"--figures": "none.csv"}, "none.csv cannot be read as CSV or Parquet: "),
        ({}, {"--shapes": "far.parquet"}, "far.parquet has nothing in the city's box; its shapes lie within "),
    ],
)
def test_an_unusable_census_table_is_one_line_and_no_file(
    cells: dict[str, str], options: dict[str, str], says: str, downloads: Path, tmp_path: Path
) -> None:
    write(tmp_path)
    tracts = geopandas.read_file(downloads / TRACTS)
    tracts.to_crs(26985).set_crs(None, allow_override=True).to_parquet(tmp_path / "far.parquet")
    table = census_table(tmp_path, **cells)
    files = {"--figures": table, "--shapes": downloads / TRACTS, "--key": "GEO_ID=GEOID"} | options
    files |= {option: tmp_path / file for option, file in options.items() if "." in file}
    ran = layers(tmp_path, *(part for pair in files.items() for part in pair))
    assert ran.exit_code == 1
    assert says.replace("TABLE", str(table)).replace("TRACTS", str(downloads / TRACTS)) in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert not (tmp_path / "washington_dc").exists()


def test_a_full_disk_leaves_no_file(downloads: Path, tmp_path: Path) -> None:
    write(tmp_path)
    given = ("--figures", census_table(tmp_path), "--shapes", downloads / TRACTS, "--key", "GEO_ID=GEOID")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, limit[1]))
    try:
        ran = layers(tmp_path, *given)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert ran.exit_code == 1
    assert "File too large" in ran.stderr
    assert list((tmp_path / "washington_dc").iterdir()) == []


def test_shapes_without_a_table_are_refused(downloads: Path, tmp_path: Path) -> None:
    write(tmp_path)
    for given in ((), ("--shapes", downloads / TRACTS), ("--roads", downloads / ROADS, "--figures", "acs.csv")):
        ran = layers(tmp_path, *given)
        assert ran.exit_code == 2
        assert "Give --roads, or --figures with --shapes, or all three." in ran.stderr


@pytest.mark.skipif(not CENSUS_FILES.is_dir(), reason="needs the census files in ../shared/data/layers")
def test_the_guide_gives_washington_dc_an_audit_and_a_factor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path)
    for census_file in (*CENSUS_FILES.glob("washington_dc_tracts*"), *CENSUS_FILES.glob("washington_dc/acs_tract*")):
        shutil.copy(census_file, tmp_path)
    monkeypatch.chdir(tmp_path)
    guide = (CHECKOUT / "docs/how-to/contributing_factors.md").read_text()
    [command, printed] = re.findall(r"layers washington_dc (--figures .*?)\n\n```text\n(.*?)```", guide, re.DOTALL)[0]
    arguments = command.replace("\\", "").split()
    ran = layers(tmp_path, *arguments)
    assert (ran.stdout + ran.stderr).replace(str(tmp_path), "/srv/cities") == printed
    lines = (
        ran.stdout.split(f"Add to {file}:\n")[1]
        .replace("YEAR", "2014")
        .replace("{column: COLUMN}", "{column: pop_total}")
    )
    lines = lines.replace("NAME", "poverty").replace("COLUMN", "poverty_people_pct").replace("YYYY-MM-DD", "2015-12-03")
    file.write_text(file.read_text() + lines)
    city = load_city(file)
    assert len(Residents.read(city, city.audit).all.values) > 150
    assert np.isfinite(CityFactors.read(city).of_cells[0].by_cell).mean() > 0.5
    every_period = [argument for argument in arguments if "only" not in argument and "period" not in argument]
    says = (
        "acs_tract_2007_2014.parquet, row 180: geoid 11001000100 is in row 1 too. Keep one row for each area, such as"
    )
    assert says in layers(tmp_path, *every_period, "--to", "other").stderr
