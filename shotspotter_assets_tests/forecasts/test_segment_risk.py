from dataclasses import replace

import numpy as np
import pytest
import shapely

from shotspotter_assets.forecasts import street_shares
from shotspotter_assets.forecasts.street_segments import Parts, parts_of, read_segments
from shotspotter_assets.forecasts.street_shares import Alerts, CellRisk, StreetShares, segment_risk
from shotspotter_assets.grid.cells import Plane
from shotspotter_assets_tests.forecasts.street_town import city_with, town, written

CELLS = 16
ENDS = (0.1, 0.9)
START = np.datetime64("2019-01-01")


@pytest.fixture(scope="module")
def city(tmp_path_factory):
    city = city_with(written(tmp_path_factory.mktemp("town"), town()))
    return city.model_copy(update={"grid": city.grid.model_copy(update={"rows": 4, "columns": 4})})


@pytest.fixture(scope="module")
def parts(city) -> Parts:
    return parts_of(city, read_segments(city))


def one_of(parts: Parts, at: int) -> np.ndarray:
    """Return the rate of one alert a day at one part."""
    return (np.arange(len(parts)) == at).astype(float)


def simulated(city, parts: Parts, rate: np.ndarray, days: int, seed: int = 1) -> Alerts:
    """Alerts by a rate per day of each part, anywhere along it."""
    random = np.random.default_rng(seed)
    number = random.poisson(rate, (days, len(parts)))
    day, part = (np.repeat(index, number.ravel()) for index in (index.ravel() for index in np.indices(number.shape)))
    points = shapely.line_interpolate_point(parts.lines[part], random.random(len(part)), normalized=True)
    return Alerts(START + day, *Plane.of(city.box).degrees(shapely.get_coordinates(points)).T)


def joined(*parts: Alerts) -> Alerts:
    columns = zip(*((part.days, part.longitude, part.latitude) for part in parts), strict=True)
    return Alerts(*(np.concatenate(values) for values in columns))


def cell_risk(probability: np.ndarray, widths: tuple[float, float] = (0.8, 1.25)) -> CellRisk:
    return CellRisk(2 * probability, probability, widths[0] * probability, widths[1] * probability)


@pytest.fixture(scope="module")
def rates(parts) -> np.ndarray:
    return 0.01 * np.random.default_rng(3).gamma(0.3, 1 / 0.3, len(parts)) * parts.metres / parts.metres.mean()


@pytest.fixture(scope="module")
def shares(city, parts, rates) -> StreetShares:
    return StreetShares.fit(city, parts, simulated(city, parts, rates, 1000))


def test_the_streets_of_a_cell_add_up_to_its_forecast(shares):
    cells = np.random.default_rng(2).random((3, CELLS))
    segments, on_no_street = shares.divided(cells)
    np.testing.assert_allclose(segments.sum(axis=1) + on_no_street.sum(axis=1), cells.sum(axis=1))
    on_streets, off_streets = np.split(shares.share, [len(shares.parts)])
    np.testing.assert_allclose(np.bincount(shares.parts.cell, on_streets, minlength=CELLS) + off_streets, 1)
    risk = segment_risk(shares, cell_risk(cells[0] / 2), ENDS)
    assert risk.expected.sum() + risk.expected_on_no_street == pytest.approx(cells[0].sum())


def test_without_a_past_streets_share_by_length(city, parts):
    shares = StreetShares.fit(city, parts, Alerts(np.empty(0, "datetime64[D]"), np.empty(0), np.empty(0)))
    in_cell = parts.cell == 5
    np.testing.assert_allclose(shares.share[: len(parts)][in_cell], parts.metres[in_cell] / parts.metres[in_cell].sum())
    assert shares.segments_per_day == 1
    assert not shares.share[len(parts) :].any()


def test_shares_come_near_the_true_ones_with_more_days(city, parts, rates):
    in_cell = np.bincount(parts.cell, rates, minlength=CELLS)[parts.cell]
    errors = []
    for days in (30, 300, 2000):
        shares = StreetShares.fit(city, parts, simulated(city, parts, rates, days))
        errors.append(np.abs(shares.share[: len(parts)] - rates / in_cell).mean())
    assert errors[0] > errors[1] > errors[2]


def test_alerts_of_long_ago_count_less(city, parts):
    old = simulated(city, parts, one_of(parts, int(np.flatnonzero(parts.cell == 5)[0])), 40)
    last = old.days.max() == old.days
    later = old.days[last] + np.timedelta64(int(street_shares.HALF_LIFE_DAYS), "D")
    both = joined(old, Alerts(later, old.longitude[last], old.latitude[last]))
    alone = StreetShares.fit(city, parts, old).cell_days[5]
    assert StreetShares.fit(city, parts, both).cell_days[5] == pytest.approx(alone / 2 + 1, rel=0.02)


def test_a_burst_of_a_day_counts_as_one_day(city, parts):
    calm = simulated(city, parts, one_of(parts, 3), 60)
    burst = joined(calm, *[Alerts(calm.days[:1], calm.longitude[:1], calm.latitude[:1])] * 500)
    in_burst, in_calm = (StreetShares.fit(city, parts, alerts).cell_days.sum() for alerts in (burst, calm))
    assert in_burst == pytest.approx(in_calm)


def test_alerts_on_no_street_count_separately(city, parts, rates):
    park = (-76.995, 38.0025)  # 500 m from the first street
    in_park = Alerts(START + np.arange(100), np.full(100, park[0]), np.full(100, park[1]))
    shares = StreetShares.fit(city, parts, joined(simulated(city, parts, rates, 300), in_park))
    off = shares.share[len(parts) :]
    assert off[0] > off[5] > 0


def test_intervals_hold_the_true_probability_as_often_as_they_say(city, parts, rates):
    in_cell = np.bincount(parts.cell, rates, minlength=CELLS)
    cells = -np.expm1(-in_cell)
    held = []
    for seed in range(8):
        shares = StreetShares.fit(city, parts, simulated(city, parts, rates, 400, seed))
        risk = segment_risk(replace(shares, segments_per_day=1.0), CellRisk(in_cell, cells, cells, cells), ENDS)
        truth = -np.expm1(-np.bincount(parts.segment, rates))
        held.append(np.mean((risk.low <= truth) & (truth <= risk.high)))
    assert 0.7 < np.mean(held) < 0.9


def test_nothing_is_forecast_where_nothing_is_forecast_of_the_cell(shares):
    probability = np.zeros(CELLS)
    probability[5] = 0.2
    risk = segment_risk(shares, cell_risk(probability), ENDS)
    inside = np.isin(np.arange(shares.parts.segments), shares.parts.segment[shares.parts.cell == 5])
    assert (risk.probability[inside] > 0).all()
    for values in (risk.probability, risk.expected, risk.low, risk.high):
        assert not values[~inside].any()


def test_parts_have_all_of_the_streets_and_lie_in_one_cell_each(city, parts):
    segments = read_segments(city)
    plane = Plane.of(city.box)
    np.testing.assert_allclose(np.bincount(parts.segment, parts.metres), segments.metres, rtol=1e-6)
    for line, cell in zip(parts.lines, parts.cell, strict=True):
        middle = line.interpolate(0.5, normalized=True)
        assert int(middle.y // (plane.height / 4)) * 4 + int(middle.x // (plane.width / 4)) == cell


def test_an_alert_belongs_to_the_nearest_street_of_its_cell(city, parts):
    degrees = street_shares.MAX_METRES_AWAY / (Plane.of(city.box).height / 0.1)
    latitude = 38.02 + degrees * np.array([0.0, 0.9, 1.1])
    days = np.full(3, START)
    near = street_shares.nearest_parts(city, parts, Alerts(days, np.full(3, -76.985), latitude))
    names = np.array(read_segments(city).names)[parts.segment]
    assert [names[at] if at >= 0 else None for at in near] == [*2 * ["B St between 1th Ave and 2th Ave"], None]
    # Edges of cells lie between the streets: just north of one, the alert stays in its own cell.
    [part] = street_shares.nearest_parts(city, parts, Alerts(days[:1], np.array([-76.98]), np.array([38.0251])))
    assert parts.cell[part] == 4
