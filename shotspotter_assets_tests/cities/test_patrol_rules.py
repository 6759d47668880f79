from pathlib import Path

import pytest

from shotspotter_assets.cities.patrol_rules import PatrolRules, Repeats, Shift
from shotspotter_assets.cities.registry import load_city

TINY = (Path(__file__).parents[1] / "data" / "cities" / "tiny_city.yaml").read_text()
PATROL = """
patrol:
  shifts:
    - {name: day, start: 6, end: 18, units: 4}
    - {name: night, start: 18, end: 6, units: 6}
  radius_m: 400
  shares: [0.5, 0.2]
  least_share_per_area: 0.1
  repeats: {most: 3, days: 7}
  floor: 0.05
"""


def city_from(folder, text):
    file = folder / "tiny_city.yaml"
    file.write_text(text)
    return load_city(file)


def test_are_read_from_the_citys_file(tmp_path):
    assert city_from(tmp_path, TINY).patrol is None
    assert city_from(tmp_path, TINY + PATROL).patrol == PatrolRules(
        shifts=(Shift(name="day", start=6, end=18, units=4), Shift(name="night", start=18, end=6, units=6)),
        radius_m=400,
        shares=(0.5, 0.2),
        least_share_per_area=0.1,
        repeats=Repeats(most=3, days=7),
        floor=0.05,
    )


@pytest.mark.parametrize(
    ("right", "wrong", "text"),
    [
        ("end: 18", "end: 25", r"patrol\.shifts.*end"),
        ("[0.5, 0.2]", "[0.2, 0.5]", r"patrol\.shares.*never rise"),
        ("most: 3", "most: 7", r"patrol\.repeats.*must be less than days"),
        ("name: night", "name: day", "two shifts have the same name"),
        ("floor:", "flor:", "flor"),
    ],
)
def test_mistakes_are_named(tmp_path, right, wrong, text):
    with pytest.raises(Exception, match=text) as error:
        city_from(tmp_path, TINY + PATROL.replace(right, wrong))
    assert "tiny_city.yaml" in str(error.value)
