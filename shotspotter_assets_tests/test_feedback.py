import numpy as np
import pyarrow as pa
import pytest

from benchmarks.feedback import (
    CONFIRMED_SHARE,
    PREVENTED_SHARE,
    SCENARIOS,
    SENSOR_CHANCE,
    Incidents,
    Plan,
    Scenario,
    recorded,
    run,
)
from benchmarks.reports.feedback_measures import shares
from shotspotter_assets.forecasts.patrol.cover import CoverProblem
from shotspotter_assets.forecasts.patrol.lottery import draw_lots

SHARES = (0.6, 0.24, 0.1)
RATES = np.array([3.0, 2.0, 2.0, 1.0])
SMALL = {"cells": 5, "units": 3, "serves": "ewma"}  # a city of fifteen covered cells, without trees


def week_of(rates: np.ndarray, random: np.random.Generator) -> Incidents:
    """Draw incidents of a week by cell from daily rates."""
    counts = random.poisson(np.tile(rates, (7, 1)))
    day, cell = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    return Incidents(pa.table({}), day, cell, random.random((len(day), 3)))


def urn(scenario: Scenario, weeks: int, seed: int, power: float = 1.0) -> np.ndarray:
    """Plan by the shares of the records alone, as in the urn of Ensign and others, one unit a day; return the records."""
    random = np.random.default_rng(seed)
    records = np.ones(len(RATES))
    cells = np.arange(len(RATES))
    places = np.column_stack([0 * cells, cells])
    for week in range(weeks):
        problem = CoverProblem(
            expected=records, reach=None, shares=SHARES, max_units=np.ones(len(RATES), np.int64),
            area=np.full(len(RATES), -1), min_units=np.zeros(0, np.int64),
        )  # fmt: skip
        lots = [draw_lots(problem, places, 1, power, seed=10_000 * seed + 7 * week + day) for day in range(7)]
        plans = [Plan(lot.units, lot.expected_units) for lot in lots]
        incidents = week_of(RATES, random)
        is_recorded = recorded(
            scenario, incidents, np.full(len(RATES), scenario.sensors * SENSOR_CHANCE), plans, SHARES
        )
        records = records + np.bincount(incidents.cell[is_recorded], minlength=len(RATES))
    return records / records.sum()


def missed(records: np.ndarray) -> float:
    """Return half the sum of differences between the shares of records and of incidents: 0 for none, near 1 for all."""
    return float(abs(records - RATES / RATES.sum()).sum() / 2)


def test_in_the_urn_patrols_alone_run_away_and_the_correction_comes_back() -> None:
    mean_missed = {
        name: np.mean([missed(urn(SCENARIOS[name], 150, seed)) for seed in range(6)])
        for name in ("sensors", "lottery", "lottery_corrected")
    }
    assert mean_missed["sensors"] < 0.05
    assert mean_missed["lottery"] > 0.25
    assert mean_missed["lottery_corrected"] < 0.1


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (SCENARIOS["sensors"], SENSOR_CHANCE),
        (SCENARIOS["both"], 1 - (1 - SENSOR_CHANCE) * (1 - 0.6)),
        (SCENARIOS["patrols"], 0.6),
        (SCENARIOS["confirmed"], SENSOR_CHANCE * (CONFIRMED_SHARE + (1 - CONFIRMED_SHARE) * 0.6)),
        (SCENARIOS["deterrence"], SENSOR_CHANCE * (1 - 0.6 * PREVENTED_SHARE)),
    ],
    ids=lambda value: getattr(value, "title", ""),
)
def test_sensors_and_units_record_by_their_chances(scenario: Scenario, expected: float) -> None:
    incidents = week_of(np.full(4, 2_000.0), np.random.default_rng(1))
    plan = Plan(np.array([1, 1, 1, 0]), np.array([1.0, 1.0, 1.0, 0.0]))
    sensors = np.full(4, SENSOR_CHANCE * scenario.sensors)
    is_recorded = recorded(scenario, incidents, sensors, [plan] * 7, SHARES)
    with_unit = incidents.cell < 3
    assert is_recorded[with_unit].mean() == pytest.approx(expected, abs=0.01)
    without_unit = sensors[3] * (CONFIRMED_SHARE if scenario.confirms else 1)
    assert is_recorded[~with_unit].mean() == pytest.approx(without_unit, abs=0.02)


def test_a_week_of_the_chain_plans_all_units_on_forecasts_of_all_cells() -> None:
    week = run(SCENARIOS["lottery"], 1, **SMALL)
    assert week.units.shape == week.incidents.shape == (1, 7, len(week.area))
    assert (week.units.sum(axis=2) == SMALL["units"]).all()
    assert len(np.unique(week.units[0], axis=0)) > 1, "lots are drawn each day"
    assert ((week.probability > 0) & (week.probability < 1)).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "lowest", "highest"),
    [("sensors", 0.7, 1.3), ("patrols", 0.0, 0.4), ("lottery", 0.0, 0.4), ("lottery_corrected", 0.7, 2.0)],
)
def test_in_the_chain_patrols_alone_run_away_and_the_correction_comes_back(
    scenario: str, lowest: float, highest: float
) -> None:
    last = run(SCENARIOS[scenario], 39, **SMALL).quarters()[-1]
    incidents = shares(last.incidents)
    quiet_half = np.argsort(incidents)[: len(incidents) // 2]  # its forecast is what runs away, in every seed
    kept = shares(last.expected)[quiet_half].sum() / incidents[quiet_half].sum()
    assert lowest < kept < highest
