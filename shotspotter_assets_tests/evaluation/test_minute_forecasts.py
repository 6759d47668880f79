from datetime import date

import numpy as np
import pyarrow.compute as pc
import pytest

from shotspotter_assets.cities.local_time import day_start
from shotspotter_assets.evaluation.fold_tables import EVENLY, minute_forecasts
from shotspotter_assets.evaluation.score_rows import ScoreTable, all_rows
from shotspotter_assets.models.history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.next_hours.incident_points import Incidents
from shotspotter_assets.models.next_hours.lift_table import MINUTES
from shotspotter_assets.models.trained_models import NEXT_MINUTES
from shotspotter_assets_tests.models.next_hours import simulated_incidents
from shotspotter_assets_tests.models.next_hours.test_lift_table import KnownRates

CUTOFF = date(2021, 4, 20)
DAYS = 130
LATER = day_start(CUTOFF, simulated_incidents.CITY.zone).timestamp()


@pytest.fixture(scope="module")
def history() -> HourlyHistory:
    return simulated_incidents.quiet_history(DAYS)


@pytest.fixture(scope="module")
def rates(history: HourlyHistory) -> KnownRates:
    return KnownRates(simulated_incidents.even_forecast(history, 40.0))


@pytest.fixture(scope="module")
def incidents(history: HourlyHistory) -> Incidents:
    return simulated_incidents.simulated(history, simulated_incidents.even_forecast(history, 40.0), repeats=1.0)


def test_repeats_make_the_lifted_minutes_better_than_the_even_hour(
    history: HourlyHistory, rates: KnownRates, incidents: Incidents
) -> None:
    table = minute_forecasts(history, rates, incidents, CUTOFF, hours_apart=1)
    assert pc.unique(table["horizon"]).to_pylist() == list(MINUTES)
    assert pc.min(table["date"]).as_py() == CUTOFF
    for minutes in MINUTES:
        part = table.filter(pc.equal(table["horizon"], minutes))
        scores = ScoreTable(all_rows(part, [EVENLY], "minutes", str(minutes), EVENLY))
        assert scores.gain(EVENLY, NEXT_MINUTES, "minutes", str(minutes)).low > 0


def test_cells_with_an_incident_within_the_minutes_are_observed(history: HourlyHistory, rates: KnownRates) -> None:
    past = simulated_incidents.simulated(history, rates.even[: len(history)]).within(-np.inf, LATER)
    ahead = np.array([0.0, 20 * 60.0, 3600 * 5 + 1])  # at the instant itself, which is not after it, and later
    test = Incidents(LATER + ahead, np.zeros((3, 2)), np.array([[6, 6], [6, 7], [11, 0]]))
    table = minute_forecasts(history, rates, simulated_incidents.joined(past, test), CUTOFF, hours_apart=1)
    observed = table.filter(pc.equal(table["observed"], 1)).select(["hour", "horizon", "row", "column"]).to_pylist()
    assert [tuple(row.values()) for row in observed] == [
        (5, 15, 11, 0),
        (0, 30, 6, 7),
        (5, 30, 11, 0),
        (0, 60, 6, 7),
        (5, 60, 11, 0),
    ]


def test_each_hour_of_the_day_has_its_share(history: HourlyHistory, rates: KnownRates, incidents: Incidents) -> None:
    table = minute_forecasts(history, rates, incidents, CUTOFF, hours_apart=4)
    hours, issues = np.unique(table["hour"].to_numpy(), return_counts=True)
    assert hours.tolist() == list(range(24))
    assert issues.max() <= 1.3 * issues.min()


def test_later_incidents_change_no_earlier_forecast(
    history: HourlyHistory, rates: KnownRates, incidents: Incidents
) -> None:
    stop = LATER + 10 * 86_400
    whole, cut = (minute_forecasts(history, rates, one, CUTOFF, 1) for one in (incidents, incidents.within(0, stop)))
    before = pc.less(whole["date"], date(2021, 4, 29))
    assert whole.filter(before).drop_columns("observed").equals(cut.filter(before).drop_columns("observed"))


def test_few_incidents_are_refused(history: HourlyHistory, rates: KnownRates, incidents: Incidents) -> None:
    with pytest.raises(HourlyHistoryError, match=simulated_incidents.CITY.name):
        minute_forecasts(history, rates, incidents.within(LATER, np.inf), CUTOFF, 1)
