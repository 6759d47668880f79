"""Alerts on the streets that they may belong to: exact and rounded points, and those on no street."""

from dataclasses import replace

import numpy as np
import pytest

from shotspotter_assets.gridding.cells import Plane
from shotspotter_assets.streets.segments import Parts, Segments, parts_of, read_segments
from shotspotter_assets.streets.spread import MAX_METRES_AWAY, Alerts, Ambiguity, Inexactness, spread
from shotspotter_assets_tests.streets.town import city_with, town, written


@pytest.fixture(scope="module")
def segments(tmp_path_factory) -> Segments:
    return read_segments(city_with(written(tmp_path_factory.mktemp("town"), town())))


@pytest.fixture(scope="module")
def city(tmp_path_factory):
    # Edges of cells between the streets, which are 0.01 degrees apart.
    city = city_with(tmp_path_factory.mktemp("town") / "any")
    box = city.box.model_copy(update={"west": -77.0, "south": 38.0, "east": -76.9, "north": 38.1})
    return city.model_copy(update={"box": box, "grid": city.grid.model_copy(update={"rows": 4, "columns": 4})})


@pytest.fixture(scope="module")
def parts(city, segments) -> Parts:
    return parts_of(city, segments)


def alerts(*points: tuple[float, float]) -> Alerts:
    longitude, latitude = np.array(points, dtype=float).T
    return Alerts(np.full(len(points), np.datetime64("2021-01-01")), longitude, latitude)


def shares_by_name(city, parts, segments, points, inexactness) -> list[dict[str, float]]:
    rows = spread(city, parts, alerts(*points), inexactness).toarray()
    names = np.array(segments.names)[parts.segment]
    return [
        {str(name): pytest.approx(row[names == name].sum(), abs=0.01) for name in names[row > 0.005]} for row in rows
    ]


def test_parts_have_all_of_the_streets_and_lie_in_one_cell_each(city, parts, segments):
    by_segment = np.bincount(parts.segment, parts.metres, minlength=len(segments))
    np.testing.assert_allclose(by_segment, segments.metres, rtol=1e-6)
    plane = Plane.of(city)
    for line, cell in zip(parts.lines, parts.cell, strict=True):
        middle = line.interpolate(0.5, normalized=True)
        assert int(middle.y // (plane.height / 4)) * 4 + int(middle.x // (plane.width / 4)) == cell


def test_an_exact_point_is_on_its_street_alone(city, parts, segments):
    (shares,) = shares_by_name(city, parts, segments, [(-76.985, 38.02)], Inexactness(5, 5, False))
    assert shares == {"B St between 1th Ave and 2th Ave": 1.0}


def test_a_rounded_point_is_spread_by_the_length_of_street_within_its_step(city, parts, segments):
    (shares,) = shares_by_name(city, parts, segments, [(-76.98, 38.02)], Inexactness(50, 100, True))
    assert shares == {
        "2th Ave between A St and B St": 100 / 300,
        "2th Ave between B St and C St": 100 / 300,
        "B St between 1th Ave and 2th Ave": 50 / 300,
        "B St between 2th Ave and 3th Ave": 50 / 300,
    }


def test_a_point_beside_its_street_goes_to_the_nearest_and_one_far_away_to_none(city, parts, segments):
    degrees = MAX_METRES_AWAY / (Plane.of(city).height / 0.1)
    points = [(-76.985, 38.02 + share * degrees) for share in (0.9, 1.1)]
    near, far = shares_by_name(city, parts, segments, points, Inexactness(5, 5, False))
    assert near == {"B St between 1th Ave and 2th Ave": 1.0}
    assert far == {}


def test_an_alert_stays_in_the_cell_that_counts_it(city, parts, segments):
    edge = 38.025  # between the first two rows of four
    point = (-76.98, edge + 0.0001)
    rows = spread(city, parts, alerts(point), Inexactness(50, 100, True)).tocoo()
    assert set(parts.cell[rows.coords[1]].tolist()) == {4}
    assert rows.data.sum() == pytest.approx(1)


def test_rounding_is_what_the_points_show(city, parts):
    random = np.random.default_rng(5)
    exact = alerts(*np.column_stack([random.uniform(-77, -76.9, 500), random.uniform(38, 38.1, 500)]))
    rounded = replace(exact, longitude=exact.longitude.round(3), latitude=exact.latitude.round(3))
    shown = Inexactness.of(city, rounded, parts)
    plane = Plane.of(city)
    assert shown.is_rounded
    assert (shown.east, shown.north) == pytest.approx((plane.metres_east / 2000, plane.height / 0.1 / 2000))
    assert str(shown) == "points are rounded to 88 x 111 m"
    fine = replace(exact, longitude=exact.longitude.round(4), latitude=exact.latitude.round(4))
    assert Inexactness.of(city, fine, parts).east == pytest.approx(plane.metres_east / 20_000)
    on_streets = alerts(*((-76.985 + 0.0003 * random.random(), 38.02 + 0.0001) for _ in range(200)))
    assert Inexactness.of(city, on_streets, parts).north == pytest.approx(11.1, abs=1.5)  # from the streets
    assert str(Inexactness.of(city, on_streets, parts)).startswith("points are exact to about 1")


def test_it_is_told_how_far_points_leave_the_street_open(city, parts):
    on_street, at_crossing, nowhere = (-76.965, 38.04), (-76.96, 38.04), (-76.999, 38.0001)
    points = alerts(on_street, at_crossing, nowhere)
    exact = Ambiguity.of(spread(city, parts, points, Inexactness(2.0, 2.0, False)))
    assert exact.candidates == pytest.approx(2.5)  # one, and the four that meet
    assert exact.likeliest == pytest.approx((1 + 0.25) / 2, abs=0.06)  # on a grid of 2 m
    assert exact.on_no_street == pytest.approx(1 / 3)
    rounded = Ambiguity.of(spread(city, parts, points, Inexactness(600.0, 600.0, True)))
    assert rounded.candidates > exact.candidates
    assert Ambiguity.of(spread(city, parts, alerts(nowhere), Inexactness(2.0, 2.0, False))) is None
