import math
from typing import Any

import geopandas
import pytest
import shapely

from shotspotter_assets.forecasts.street_segments import StreetsFileError, read_segments
from shotspotter_assets.grid.cells import Plane
from shotspotter_assets_tests.forecasts.street_town import CITY, PIECES, city_with, frame_of, street_rows, town, written

LINE = shapely.LineString
BLOCK = LINE([(-76.98, 38.02), (-76.97, 38.02)])
POINT = LINE([(-76.95, 38.05)] * 2)


def test_whole_streets_are_cut_where_they_cross(tmp_path):
    cut = read_segments(city_with(written(tmp_path, town())))
    assert len(cut) == PIECES
    plane = Plane.of(city_with(tmp_path / "any").box)
    assert cut.metres.max() == pytest.approx(plane.height / 10, abs=2)
    assert cut.metres.min() == pytest.approx(plane.width / 20, abs=2)
    assert cut.metres.sum() == pytest.approx(9 * 0.09 * (plane.metres_east + plane.height / 0.1), rel=1e-3)
    assert cut.left_out == ()


def test_pieces_are_named_by_the_crossings_that_they_lie_between(tmp_path):
    names = read_segments(city_with(written(tmp_path, town()))).names
    assert "B St between 2th Ave and 3th Ave" in names
    assert "1th Ave at A St" in names  # its end
    assert len(set(names)) == PIECES


def test_blocks_have_their_house_numbers_for_a_name(tmp_path):
    others = [shapely.LineString([(west, y), (west + 0.01, y)]) for west, y in ((-76.97, 38.02), (-76.98, 38.05))]
    names = ["oak ln", "oak ln", "ELM RD", "low st"]
    numbers = [(2803, 2851), (2800, 2898), (180, 220), (99, 1)]
    low, high = (list(map(float, ends)) for ends in zip(*numbers, strict=True))
    rows = frame_of(names, [BLOCK, shapely.reverse(BLOCK), *others], low=low, high=high)
    cut = read_segments(city_with(written(tmp_path, rows), number_from="low", number_to="high"))
    assert sorted(cut.names) == ["100 to 200 block of ELM RD", "2800 block of Oak Ln", "unit block of Low St"]
    assert sorted(set(cut.streets)) == ["ELM RD", "Low St", "Oak Ln"]


def test_a_block_in_two_pieces_has_a_name_for_each(tmp_path):
    names, lines = street_rows()
    oak = shapely.LineString([(-76.985, 38.025), (-76.965, 38.025)])
    numbers = {"low": 100, "high": 198}
    rows = frame_of([*names, "Oak Ln"], [*lines, oak], **{name: [None] * 18 + [at] for name, at in numbers.items()})
    cut = read_segments(city_with(written(tmp_path, rows), number_from="low", number_to="high"))
    assert sorted(name for name in cut.names if "of Oak" in name) == [
        "100 block of Oak Ln at 2th Ave",
        "100 block of Oak Ln at 3th Ave",
        "100 block of Oak Ln between 2th Ave and 3th Ave",
    ]


def test_pieces_of_a_street_that_meet_without_a_crossing_are_one_segment(tmp_path):
    bend = [(-76.98, 38.02), (-76.97, 38.02), (-76.97, 38.03)]
    halves = [shapely.LineString(bend[:2]), shapely.LineString(bend[1:])]
    assert len(read_segments(city_with(written(tmp_path, frame_of(["Oak Ln", "Oak Ln"], halves))))) == 1
    other = read_segments(city_with(written(tmp_path, frame_of(["Oak Ln", "Elm Rd"], halves))))
    assert sorted(other.names) == ["Elm Rd", "Oak Ln"]


def test_side_streets_that_end_just_before_a_street_meet_it(tmp_path):
    plane = Plane.of(city_with(tmp_path / "any").box)
    pieces = {}
    for gap in (0.3, 8.0):
        end = 38.02 + gap / (plane.height / 0.1)
        sides = [shapely.LineString([(-77 + 0.0021 * at, 38.03), (-77 + 0.0021 * at, end)]) for at in range(1, 41)]
        tilted = shapely.LineString([(-77.0, 38.02), (-76.9, 38.02)])
        rows = frame_of(["Oak Ln", *(f"{at}th Ct" for at in range(1, 41))], [tilted, *sides])
        pieces[gap] = len(read_segments(city_with(written(tmp_path, rows)))) - 41
    assert pieces[0.3] >= 30
    assert pieces[8.0] == 0


def defective() -> dict[str, geopandas.GeoDataFrame]:
    """The town with one defect each, none of which changes its segments."""
    names, lines = street_rows()
    far = LINE([(-78, 38), (-78, 39)])
    unnamed = (LINE([(-76.99, 38.01), (-76.91, end)]) for end in (38.09, 38.07))
    return {
        "another coordinate system": town().to_crs(26985),
        "none named": town().set_crs(None, allow_override=True),
        "three dimensions": frame_of(names, [shapely.force_3d(line, 7.0) for line in lines]),
        "lines twice": frame_of([*names, *names], [*lines, *(shapely.reverse(line) for line in lines)]),
        "lines under two names": frame_of([*names, *(f"Route {name}" for name in names)], [*lines, *lines]),
        "many parts": frame_of(names, [shapely.union(line, far) for line in lines]),
        "empty, missing and of no length": frame_of([*names, "Empty", "None", "Point"], [*lines, LINE(), None, POINT]),
        "not numbers": frame_of([*names, "Nowhere"], [*lines, LINE([(-76.95, math.inf), (-76.95, 38.05)])]),
        "without names": frame_of([*names, None, " "], [*lines, *unnamed]),
        "beyond the box": frame_of([*names, "Far Rd"], [*lines, far]),
    }


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize("defect", defective())
def test_usual_defects_change_nothing(tmp_path, defect):
    cut = read_segments(city_with(written(tmp_path, defective()[defect])))
    assert sorted(cut.names) == sorted(read_segments(city_with(written(tmp_path, town(), "whole.parquet"))).names)


def test_lines_left_out_are_counted(tmp_path):
    reasons = {"without names": "2 lines without a name", "beyond the box": "1 line outside of the city's box"}
    for defect, says in reasons.items():
        assert read_segments(city_with(written(tmp_path, defective()[defect]))).left_out == (says,)
    kinds = town().assign(kind=["st"] * 9 + ["path"] * 9)
    cut = read_segments(city_with(written(tmp_path, kinds), only={"kind": ["st"]}))
    assert cut.left_out == ("9 lines not among those of `only`",)
    assert len(cut) == 9


def test_an_openstreetmap_extract_is_read(tmp_path):
    nodes = []
    ways = []
    for name, line in zip(*street_rows(), strict=True):
        first = len(nodes) + 1
        nodes += [f'<node id="{first + at}" lon="{x}" lat="{y}" version="1"/>' for at, (x, y) in enumerate(line.coords)]
        way = "".join(f'<nd ref="{first + at}"/>' for at in range(2))
        tags = f'<tag k="highway" v="residential"/><tag k="name" v="{name}"/>'
        ways.append(f'<way id="{first}" version="1">{way}{tags}</way>')
    tags = '<tag k="waterway" v="river"/><tag k="name" v="Wet"/>'
    way = f'<way id="999" version="1"><nd ref="1"/><nd ref="4"/>{tags}</way>'
    (tmp_path / "town.osm").write_text(f'<osm version="0.6">{"".join(nodes)}{"".join(ways)}{way}</osm>')
    cut = read_segments(city_with(tmp_path / "town.osm", only={"highway": ["residential"]}))
    assert len(cut) == PIECES


def refused() -> dict[str, tuple[Any, dict[str, Any], str]]:
    """Files with a fault each, the keys of the city file that read them, and the words that name the fault."""
    names, lines = street_rows()
    far = [shapely.LineString([(-122.0, 37.0), (-122.0, 37.1)])]
    turned = [shapely.transform(line, lambda points: points[:, ::-1]) for line in lines]
    return {
        "no column": (town(), {"name": "street"}, "`name`"),
        "no numbers": (town(), {"number_from": "a", "number_to": "b"}, "`number_from`"),
        "no kind": (town(), {"only": {"kind": ["st"]}}, "`only`"),
        "no such kind": (town().assign(kind="st"), {"only": {"kind": ["road"]}}, "road; it has st"),
        "no names": (frame_of([None] * 18, lines), {}, "`name`"),
        "elsewhere": (frame_of(["Far"], far), {}, "[-122.0, 37.0"),
        "latitude first": (frame_of(names, turned), {}, "longitude before latitude"),
        "areas": (frame_of(["Park"], [shapely.box(-77, 38, -76.9, 38.1)]), {}, "Polygon"),
        "no length": (frame_of(["Point"], [POINT]), {}, "length"),
        "nothing": (frame_of([], []), {}, "box"),
    }  # fmt: skip


@pytest.mark.parametrize("case", refused())
def test_unusable_files_are_refused_with_the_remedy(tmp_path, case):
    frame, settings, says = refused()[case]
    with pytest.raises(StreetsFileError) as error:
        read_segments(city_with(written(tmp_path, frame), **settings))
    assert str(error.value).startswith(f"City square_town, streets: {tmp_path / 'streets.parquet'} ")
    assert says in str(error.value)


def test_a_city_without_streets_has_no_segments():
    with pytest.raises(ValueError, match=r"square_town.*streets"):
        read_segments(CITY)
