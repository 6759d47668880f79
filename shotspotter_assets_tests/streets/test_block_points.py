"""House numbers of streets from points of blocks: which street a point belongs to, and what cannot be used."""

from pathlib import Path

import pandas as pd
import pytest
import shapely

from shotspotter_assets.streets.segments import StreetsFileError, read_segments
from shotspotter_assets_tests.streets.town import city_with, frame_of, written

ADAMS, OTHER = (
    shapely.LineString([(-76.98, 38.02), (-76.97, 38.02)]),
    shapely.LineString([(-76.98, 38.0203), (-76.97, 38.0203)]),
)
COLUMNS = {"street": "street", "number_from": "num_from", "number_to": "num_to"}


def blocks(folder: Path, *rows: tuple[str | None, float | None, float | None, float, float]) -> dict[str, object]:
    frame = pd.DataFrame(rows, columns=["street", "num_from", "num_to", "longitude", "latitude"])
    frame.to_csv(folder / "blocks.csv", index=False)
    return {"path": folder / "blocks.csv", **COLUMNS}


def names(folder: Path, **settings: object) -> list[str]:
    streets = written(folder, frame_of(["Adams Mill Rd NW", "Euclid St NW"], [ADAMS, OTHER]))
    return read_segments(city_with(streets, **settings)).names


def test_a_block_names_the_nearest_street_that_begins_and_ends_alike(tmp_path):
    told = blocks(
        tmp_path,
        # Nearer to the other street, whose name it has not.
        ("ADAMS MILL ROAD NW", 2800, 2899, -76.975, 38.0202),
        ("EUCLID STREET SE", 100, 199, -76.975, 38.0203),
        ("EUCLID STREET NW", 1300, 1399, -76.975, 38.0209),  # 67 m away
        (None, 1, 99, -76.975, 38.02),
        ("ADAMS MILL ROAD NW", None, None, -76.975, 38.02),
    )
    assert sorted(names(tmp_path, blocks=told)) == ["2800 block of Adams Mill Rd NW", "Euclid St NW"]


def test_blocks_of_one_segment_are_told_together(tmp_path):
    told = blocks(
        tmp_path, ("ADAMS MILL ROAD NW", 2800, 2899, -76.978, 38.02), ("ADAMS MILL ROAD NW", 2900, 2999, -76.972, 38.02)
    )
    assert "2800 to 2900 block of Adams Mill Rd NW" in names(tmp_path, blocks=told)


def test_a_file_of_blocks_that_cannot_be_used_is_named(tmp_path):
    told = blocks(tmp_path, ("ADAMS MILL ROAD NW", 2800, 2899, -76.978, 38.02))
    where = f"City square_town, streets.blocks: {tmp_path / 'blocks.csv'}"
    with pytest.raises(StreetsFileError, match="has no column road; it has street") as error:
        names(tmp_path, blocks=told | {"street": "road"})
    assert str(error.value).startswith(where)
    lines = written(tmp_path, frame_of(["a"], [ADAMS], street=["a"], num_from=[1], num_to=[2]), "lines.gpkg")
    with pytest.raises(StreetsFileError, match="holds LineString, and blocks are points"):
        names(tmp_path, blocks=told | {"path": lines})
