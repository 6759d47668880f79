"""Files in the layout of TIGER/Line, made of the packaged streets and districts of Washington DC."""

import shutil
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
import yaml
from click.testing import CliRunner, Result

from shotspotter_assets.__main__ import main
from shotspotter_assets.city_files import PACKAGE_CITIES, load_city
from shotspotter_assets.forecasts.street_segments import read_segments
from shotspotter_assets.pages.places import Places
from shotspotter_assets_tests.cities.test_city_files import write

FOLDER = PACKAGE_CITIES / "washington_dc"
DOWNTOWN = {"west": -77.04, "south": 38.89, "east": -77.0, "north": 38.92}
ROADS = "tl_2018_11001_roads.zip"
TRACTS = "tl_2018_11_tract.zip"


def zipped(path: Path, frame: geopandas.GeoDataFrame) -> Path:
    """Write a zipped shapefile in the Bureau's system, NAD83."""
    folder = path.with_suffix("")
    folder.mkdir()
    frame.to_crs(4269).to_file(folder / f"{folder.name}.shp")
    return Path(shutil.make_archive(str(folder), "zip", folder))


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
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
    tracts = {"GEOID": "11", "NAME": names, "NAMELSAD": [f"Census Tract {name}" for name in names]}
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
